"""Commands reach the host behind `--host-command`, and nothing is done to links that are not the host's."""

from __future__ import annotations

import stat

import pytest

from multinic.kernel.namespace import confinement


@pytest.fixture
def prefix(node):
    """A command that notes what it is to run, and runs it."""
    file, noted = node.directory / "on-host", node.directory / "noted"
    file.write_text(f'#!/bin/sh\necho "$*" >>{noted}\nexec "$@"\n', encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file, noted


def test_commands_of_the_host_are_run_behind_the_words_that_are_given(node, prefix):
    file, noted = prefix
    node.provide(1)
    node.multinic("--host-command", f"{file} env --", "reconcile")
    assert "env -- readlink /proc/self/ns/net" in noted.read_text(encoding="utf-8")
    assert "multinic0" in node.namespace.links()
    noted.unlink()
    node.multinic("--host-command", f"{file} env --", "plan")
    assert noted.exists()


@pytest.mark.parametrize("command", ["plan", "reconcile", "purge"])
def test_links_that_are_not_those_of_the_host_are_left_alone(node, command):
    node.provide(1)
    node.reconcile()
    (node.root / "run/multinic/converged").unlink()  # a pass that finds nothing new looks no further
    node.namespace.settle()
    before = node.namespace.links()
    done = node.multinic("--host-command", "unshare --net --", command, expect=2)
    assert "this process has links of its own, not those of the host" in done.stderr
    assert "hostNetwork" in done.stderr
    node.namespace.settle()
    assert node.namespace.links() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [("'", "No closing quotation"), ("/nowhere/nsenter --", "no command can be run on the host")],
)
def test_words_that_are_no_command_are_a_mistake_on_the_command_line(node, words, said):
    node.provide(1)
    assert said in node.multinic("--host-command", words, "reconcile", expect=2).stderr


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (
            "cri-containerd.apparmor.d (enforce)\n",
            "the AppArmor profile cri-containerd.apparmor.d may deny it",
        ),
        ("system_u:system_r:container_t:s0:c1,c2\0", "the SELinux type container_t may deny it"),
        ("cri-containerd.apparmor.d (complain)\n", ""),
        ("system_u:system_r:spc_t:s0\0", ""),
        ("unconfined\n", ""),
        ("", ""),
    ],
)
def test_what_confines_a_container_is_named_with_the_value_that_frees_it(label, said):
    found = confinement(label)
    assert found.startswith(said)
    assert bool(found) == bool(said)
