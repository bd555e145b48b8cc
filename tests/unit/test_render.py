"""Templates: ours, each of which an operator may replace, and a mistake in one is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from multinic.backend.netplan import Netplan
from multinic.backend.render import Renderer, fingerprint, shipped
from multinic.values.errors import ConfigError, Exit
from tests.unit.making import path, want

ONE = want(1, "10.0.0.5/24")


def test_an_operators_template_replaces_ours_of_that_name_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "other.j2").write_text("other {{ name }}\n", encoding="utf-8")
    render = Renderer(str(tmp_path))
    before = Netplan().files("multinic3", ONE, render)
    assert before == Netplan().files("multinic3", ONE, Renderer("/nonexistent"))
    (tmp_path / "netplan.yaml.j2").write_text("# {{ banner }}\nmine: {{ link.mac }}\n", encoding="utf-8")
    text = Netplan().files("multinic3", ONE, Renderer(str(tmp_path)))[path(3)]
    assert text.endswith("\nmine: fa:16:3e:00:00:01\n")
    assert render("other.j2", {"name": "x"}) == "other x\n"


def test_an_operators_template_may_extend_ours_by_name(tmp_path: Path) -> None:
    (tmp_path / "netplan.yaml.j2").write_text("{% include 'more.j2' %}", encoding="utf-8")
    (tmp_path / "more.j2").write_text("# more of {{ name }}", encoding="utf-8")
    text = Netplan().files("multinic3", ONE, Renderer(str(tmp_path)))[path(3)]
    assert text == "# more of multinic3"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        pytest.param(b"{{ link.speed }}", "speed", id="an undefined attribute"),
        pytest.param(b"{{ nmae }}", "nmae", id="an undefined name"),
        pytest.param(b"{% if %}", "line 1", id="a syntax error"),
        pytest.param(b"\n\n{{ name | unheard_of }}", "line 3", id="an unknown filter"),
        pytest.param(b"{% include 'none.j2' %}", "none.j2", id="a missing include"),
        pytest.param(b"{{ 1 // (link.row_id - 1) }}", "zero", id="a division by zero"),
        pytest.param(b"{{ link.mac + 1 }}", "unsupported", id="a sum of unlike things"),
        pytest.param(b"{{ cycler.__init__.__globals__.os.getpid() }}", "unsafe", id="Python's own insides"),
        pytest.param(b"{{ link.addresses[7] }}", "7", id="an index too far"),
        pytest.param(b"caf\xe9", "utf-8", id="no UTF-8"),
    ],
)
def test_a_broken_template_is_a_configuration_error_that_names_it(
    tmp_path: Path, template: bytes, words: str
) -> None:
    (tmp_path / "netplan.yaml.j2").write_bytes(template)
    with pytest.raises(ConfigError) as error:
        Netplan().files("multinic3", ONE, Renderer(str(tmp_path)))
    assert "netplan.yaml.j2" in str(error.value) or "none.j2" in str(error.value)
    assert words in str(error.value)
    assert "/etc/multinic/templates" in error.value.hint
    assert error.value.exit is Exit.USAGE


def test_the_fingerprint_changes_with_every_template_and_with_nothing_else(tmp_path: Path) -> None:
    found = [fingerprint(str(tmp_path))]
    template = tmp_path / "netplan.yaml.j2"
    template.write_text("one", encoding="utf-8")
    found.append(fingerprint(str(tmp_path)))
    template.write_text("two", encoding="utf-8")
    os.utime(template, ns=(1, 1))
    found.append(fingerprint(str(tmp_path)))
    (tmp_path / "wicked").mkdir()
    (tmp_path / "wicked/ifcfg.j2").write_text("", encoding="utf-8")
    found.append(fingerprint(str(tmp_path)))
    template.unlink()
    found.append(fingerprint(str(tmp_path)))
    assert all(one != other for number, one in enumerate(found) for other in found[number + 1 :])
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    assert fingerprint(str(tmp_path)) == found[-1]
    assert fingerprint(str(tmp_path / "absent")) == found[0]


def test_the_shipped_templates_are_found() -> None:
    assert (shipped() / "netplan.yaml.j2").is_file()
