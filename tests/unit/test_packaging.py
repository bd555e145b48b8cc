"""What the packages hold says the same as the program and the requirements."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from multinic import __version__
from multinic.cli import main
from multinic.host import config
from multinic.values.errors import Exit
from multinic.values.settings import KEYS
from tests import wheel

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "requirements/vendor.txt"
SETTINGS = (ROOT / "packaging/multinic.toml").read_text()


def test_the_settings_as_installed_say_nothing_and_show_every_default(tmp_path):
    file = tmp_path / "multinic.toml"
    file.write_text(SETTINGS)
    nothing = repr(config.load(None, {}, {}, default=str(tmp_path / "none")))
    assert repr(config.load(str(file), {}, {})) == nothing

    file.write_text(re.sub(r"^#(\w+ = )", r"\1", SETTINGS, flags=re.MULTILINE))
    assert repr(config.load(str(file), {}, {})) == nothing
    shown = set(re.findall(r"^#(\w+) = ", SETTINGS, re.MULTILINE))
    assert shown == {key.name.rpartition(".")[2] for key in KEYS}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param('[database]\nurl = "mysql://a@b/c"', True, id="a table"),
        pytest.param("[database]\n  url='sqlite:////x'  # here", True, id="single quotes"),
        pytest.param('database.url="sqlite:////x"', True, id="a dotted key"),
        pytest.param('database = {url = "sqlite:////x"}', True, id="an inline table"),
        pytest.param('[database]\n#url = "sqlite:////x"', False, id="a comment"),
        pytest.param('[database]\nurl = ""', False, id="empty"),
        pytest.param('[agent]\nurl = "sqlite:////x"', False, id="another table"),
        pytest.param('[database]\nurl = "sqlite:////x', False, id="no TOML"),
        pytest.param(SETTINGS, False, id="as installed"),
    ],
)
@pytest.mark.parametrize("script", ["packaging/deb/multinic.postinst", "packaging/rpm/multinic.spec"])
def test_an_installation_knows_whether_a_database_is_named(tmp_path, script, text, named):
    (code,) = re.findall(r"-BIS -c '(.*?)' 2>/dev/null", (ROOT / script).read_text(), re.DOTALL)
    file = tmp_path / "multinic.toml"
    file.write_text(text)
    code = re.sub(r'insert\(0, ".*?"\)', f'insert(0, "{ROOT}")', code).replace("None", f'"{file}"')
    done = subprocess.run([sys.executable, "-BI", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is named
    assert named or "ConfigError" in done.stderr or done.stderr == ""


def test_the_packages_bring_the_versions_that_are_tested():
    def pinned(name: str) -> dict[str, str]:
        return dict(
            re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE)
        )

    brought, tested = pinned("vendor"), pinned("run")
    assert brought
    assert brought.items() <= tested.items()


def test_the_bill_of_materials_lists_what_packages_bring_with_its_hashes():
    document = json.loads((ROOT / "packaging/sbom.cdx.json").read_text(encoding="utf-8"))
    listed = {
        (
            component["name"],
            component["version"],
            tuple(item["content"] for item in component["externalReferences"][0]["hashes"]),
        )
        for component in document["components"]
    }
    pins = re.findall(
        r"^([\w-]+)==([\w.]+)((?: \\\n    --hash=sha256:\w+)+)", VENDOR.read_text(), re.MULTILINE
    )
    assert pins
    assert listed == {
        (name, version, tuple(re.findall(r"sha256:(\w+)", all_))) for name, version, all_ in pins
    }


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").iterdir()), ids=lambda path: path.name)
def test_whatever_is_installed_is_pinned_with_hashes(path):
    entries = re.split(r"\n(?=[a-z])", re.sub(r"(?m)^ *#.*\n", "", path.read_text(encoding="utf-8")))
    assert entries
    assert [
        entry for entry in entries if not re.match(r"[\w.-]+==\S+[^\n]* \\\n    --hash=sha256:", entry)
    ] == []


def test_every_library_that_is_brought_is_named_in_both_packages():
    brought = re.findall(r"^([\w-]+)==", (ROOT / "requirements/vendor.txt").read_text(), re.MULTILINE)
    spec = (ROOT / "packaging/rpm/multinic.spec").read_text()
    assert set(re.findall(r"bundled\(python3dist\((.*)\)\)", spec)) == set(brought)
    named = re.findall(r"vendor/lib/(\w+)/\*", (ROOT / "packaging/deb/copyright").read_text())
    modules = {"markdown-it-py": "markdown_it", "prometheus-client": "prometheus_client"}
    assert {modules.get(name, name) for name in brought} == set(named)


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What packages and the wheel bring beside the program, by name."""
    directory = tmp_path_factory.mktemp("manual")
    library = os.pathsep.join(sys.path)
    command = [sys.executable, "-B", ROOT / "packaging/describe.py", ROOT, directory]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": library})
    return {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()}


def test_every_setting_has_an_entry_in_its_man_page_with_default_and_variables(manual):
    page = manual["multinic.toml.5"].replace(r"\-", "-")
    for key in KEYS:
        found = re.search(
            rf"^\.TP\n\\fB{re.escape(key.name)}\\fR\n(.+)\n\.br\nDefault: (.+)$", page, re.MULTILINE
        )
        assert found, f"{key.name} has no entry"
        assert all(f"\\fB{name}\\fR" in found[2] for name in (key.variable, *key.variables))
        shown = found[2].partition(". Environment")[0].removeprefix(r"\fB").removesuffix(r"\fR")
        assert key.parse("" if shown == "empty" else shown) == key.default


def test_every_command_and_exit_status_is_in_the_man_page(manual):
    page = manual["multinic.1"].replace(r"\-", "-")
    for name in main.commands:
        assert f"\n.SS multinic {name}" in page
    for status in Exit:
        assert f"\n\\fB{status.value}\\fR\n" in page


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff")
@pytest.mark.parametrize("name", ["multinic.1", "multinic.toml.5"])
def test_the_man_pages_are_typeset_without_a_warning(manual, name):
    command = ["groff", "-man", "-Tutf8", "-ww", "-rLL=78n"]
    done = subprocess.run(command, input=manual[name], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    said = re.sub(r".\x08|\x1b\[[\d;]*m", "", done.stdout)
    assert not re.search(r"\\f|\*\*|`|\]\(", said), "no Markdown is left"


def test_two_wheels_of_one_checkout_are_identical(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = (wheel.build(tmp_path / name) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_wheel_holds_all_that_an_installation_needs(tmp_path):
    with zipfile.ZipFile(wheel.build(tmp_path)) as archive:
        names = set(archive.namelist())
    shipped = {path.relative_to(ROOT) for path in (ROOT / "multinic").rglob("*.po")}
    assert len(shipped) == 2  # of the dashboard, and of the command line
    assert {str(path) for path in shipped} <= names
    for directory in ("templates", "systemd"):
        shipped = {path.relative_to(ROOT) for path in (ROOT / directory).rglob("*.*") if path.is_file()}
        assert shipped
        assert {f"multinic/{path}" for path in shipped} <= names
    assert {f"multinic/{path.name}" for path in (ROOT / "multinic").glob("*.*")} <= names
    places = {name.partition("/data/")[2] for name in names if ".data/data/" in name}
    assert {"share/man/man1/multinic.1", "share/man/man5/multinic.toml.5"} <= places
    assert {"share/bash-completion/completions/multinic", "share/doc/multinic/multinic.toml"} <= places
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert any(name.endswith(".dist-info/sboms/sbom.cdx.json") for name in names)


def test_the_image_says_the_version_of_the_program():
    assert f"ARG VERSION={__version__}\n" in (ROOT / "packaging/container/Dockerfile").read_text()


def test_the_collection_installs_the_locked_dashboard_and_confines_it_as_the_documented_unit_does() -> None:
    role = ROOT / "ansible/roles/multinic"
    assert (role / "files/dashboard.txt").read_text() == (ROOT / "requirements/dashboard.txt").read_text()

    def lines(path: Path) -> set[str]:
        return {line for line in path.read_text().splitlines() if line and not line.startswith("#")}

    ours = lines(role / "templates/multinic-dashboard.service.j2")
    documented = lines(ROOT / "docs/dashboard/multinic-dashboard.service")
    # A user of its own has files of its own; one that exists only meanwhile gets them handed over.
    own = (
        "ExecStart=",
        "User=",
        "Group=",
        "DynamicUser=",
        "LoadCredential=",
        "SetCredential=",
        "Environment=",
    )
    assert [line for line in ours ^ documented if not line.startswith(own)] == []
