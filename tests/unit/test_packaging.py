"""What the packages hold says the same as the program and the requirements."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from multinic import config

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "packaging/multinic.toml").read_text()


def test_the_settings_as_installed_say_nothing_and_show_every_default(tmp_path):
    file = tmp_path / "multinic.toml"
    file.write_text(SETTINGS)
    nothing = repr(config.load(None, {}, {}, str(tmp_path)))
    assert repr(config.load(str(file), {}, {})) == nothing

    file.write_text(re.sub(r"^#(\w+ = )", r"\1", SETTINGS, flags=re.MULTILINE))
    assert repr(config.load(str(file), {}, {})) == nothing
    shown = set(re.findall(r"^#(\w+) = ", SETTINGS, re.MULTILINE))
    assert shown == {key.name.rpartition(".")[2] for key in config.KEYS if not key.name.startswith("agent.")}


@pytest.mark.parametrize(
    "text", ['url = "mysql://a@b/c"', "  url='sqlite:////x'", 'database.url="sqlite:////x"']
)
@pytest.mark.parametrize("script", ["packaging/deb/multinic.postinst", "packaging/rpm/multinic.spec"])
def test_an_installation_knows_a_database_that_is_named(script, text):
    (pattern,) = set(re.findall(r"grep -Eqs '(.*?)' \\$", (ROOT / script).read_text(), re.MULTILINE))
    found = re.compile(pattern.replace("'\\''", "'").replace("[[:space:]]", r"\s"), re.MULTILINE)
    assert found.search(text)
    assert not found.search(SETTINGS)


def test_the_packages_bring_the_versions_that_are_tested():
    def pinned(name: str) -> dict[str, str]:
        return dict(
            re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE)
        )

    brought, tested = pinned("vendor"), pinned("run")
    assert brought
    assert brought.items() <= tested.items()


def test_every_library_that_is_brought_is_named_in_both_packages():
    brought = re.findall(r"^([\w-]+)==", (ROOT / "requirements/vendor.txt").read_text(), re.MULTILINE)
    spec = (ROOT / "packaging/rpm/multinic.spec").read_text()
    assert set(re.findall(r"bundled\(python3dist\((.*)\)\)", spec)) == set(brought)
    named = re.findall(r"vendor/lib/(\w+)/\*", (ROOT / "packaging/deb/copyright").read_text())
    modules = {"markdown-it-py": "markdown_it"}
    assert {modules.get(name, name) for name in brought} == set(named)
