"""A fault of the program itself is reported, not repeated on every pass, and in the way of no other pass."""

from __future__ import annotations

import shutil

import pytest

from tests.kernel.node import ROOT, mac_of

BREAK = """\
import sys, importlib.abc, importlib.machinery, importlib.util
class Break(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name != {module!r}:
            return None
        self.real = importlib.machinery.PathFinder.find_spec(name, path)
        return importlib.util.spec_from_loader(name, self)
    def exec_module(self, module):
        exec(self.real.loader.get_source(module.__name__), vars(module))
        exec({text!r}, vars(module))
sys.meta_path.insert(0, Break())
sys.modules.pop({module!r}, None)
"""


@pytest.fixture
def broken(node):
    """Return a function that gives an environment in which a part of a module is another one."""

    def broken(module, text):
        hook = node.directory / "broken"
        hook.mkdir(exist_ok=True)
        (hook / "sitecustomize.py").write_text(BREAK.format(module=module, text=text), encoding="utf-8")
        return {"PYTHONPATH": f"{hook}:{ROOT}"}

    return broken


def test_a_change_that_breaks_the_program_is_not_attempted_on_every_pass(node, broken):
    env = broken("multinic.kernel.reach", "def probe(*_): raise TypeError('odd')\n")
    node.provide(2)
    before = node.links()
    assert "unexpected error: TypeError: odd" in node.reconcile(expect=1, env=env)
    with node.events() as events:
        document = node.document("reconcile", expect=4)
    assert (events, node.links()) == ([], before)
    assert {item["reason"] for item in document["interfaces"]} == {"backing-off"}
    assert "TypeError: odd" in document["interfaces"][0]["message"]
    node.multinic("apply", "--yes")  # a person need not wait
    assert node.link(1)[0] == "multinic0"


def test_a_recovery_that_breaks_the_program_keeps_no_pass_from_its_work(node, broken):
    env = broken("multinic.change.restore", "def restore(*_, **__): raise TypeError('odd')\n")
    node.provide(1)
    node.reconcile()
    kept = node.root / "var/lib/multinic"
    shutil.copy(kept / "checkpoint-last.json", kept / "checkpoint.json")
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))
    assert "could not restore everything: unexpected error: TypeError: odd" in node.reconcile(env=env)
    assert node.link(1)[2] == 1300
    assert not (kept / "checkpoint.json").exists()


def test_a_description_that_is_no_text_comes_back_as_it_was(node):
    """Any program may give a link such an alias; it is restored when the change fails."""
    node.provide(1)
    node.namespace.run("sh", "-c", "ip link set eth1 alias $(printf 'a\\377b')")
    node.take_address(1)
    node.sql("UPDATE multi_interface SET options = %s", '{"description": "storage"}')
    node.reconcile(expect=4)
    shown = node.namespace.run("sh", "-c", "ip -o link show eth1 | od -An -c -v -w4096 | tr -d ' '").stdout
    assert "a377b" in shown
