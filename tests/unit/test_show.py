"""What people see: whole tables, and nothing in them that acts on their terminal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.report import show
from multinic.values.plan import Change, FileChange, Interface, Plan, State
from tests.unit.making import desired, entry, files, invalid, link, mac, observed, policy, ready, want
from tests.unit.model_host import ModelHost

HOST = ModelHost(
    observed(
        link(1, "ens5"),
        ready(2, "multinic1", "10.0.0.6/24"),
        link(4, "ens8", "192.0.2.1/24"),
        files={**files((1, want(2, "10.0.0.6/24")))},
    ),
    {mac(2): entry(1, want(2, "10.0.0.6/24"))},
)
WANTED = desired(
    want(1, "10.0.0.5/24"), want(2, "10.0.0.7/24"), want(3), want(4), invalid=[invalid(None, "port-9")]
)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_a_plan_is_a_table_and_the_reasons_and_differences_below_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show.plan(HOST.plan(WANTED, policy()), "configured")
    assert lines(capsys) == [
        "node node1, backend netplan (configured)",
        "interface  mac                state    reason          link",
        "multinic0  fa:16:3e:00:00:01  create   new             ens5",
        "multinic1  fa:16:3e:00:00:02  update   changed         multinic1",
        "multinic2  fa:16:3e:00:00:03  waiting  not-plugged-in  -",
        "multinic3  fa:16:3e:00:00:04  blocked  in-use          ens8",
        "-          'zz:'              invalid  bad-value       -",
        "",
        "multinic0: link ens5 is to become multinic0",
        "    name ens5 → multinic0",
        "    state down → up",
        "    address (none) → 10.0.0.5/24",
        "  create /etc/netplan/90-multinic0.yaml",
        "    @@ -0,0 +1 @@",
        "    +multinic0 fa:16:3e:00:00:01 10.0.0.5/24 mtu None",
        "",
        "multinic1: the database asks for something new",
        "    address 10.0.0.6/24 → (none)",
        "    address (none) → 10.0.0.7/24",
        "  replace /etc/netplan/91-multinic1.yaml",
        "    @@ -1 +1 @@",
        "    -multinic1 fa:16:3e:00:00:02 10.0.0.6/24 mtu None",
        "    +multinic1 fa:16:3e:00:00:02 10.0.0.7/24 mtu None",
        "",
        "multinic2: no link has the MAC address fa:16:3e:00:00:03 yet; it is configured when plugged in",
        "  create /etc/netplan/92-multinic2.yaml",
        "    @@ -0,0 +1 @@",
        "    +multinic2 fa:16:3e:00:00:03  mtu None",
        "",
        "multinic3: row 4 is not carried out: link ens8 has the address 192.0.2.1/24, which is not ours",
        "",
        "'zz:': row 99: macaddress 'zz:' is bad",
        "",
        "1 blocked, 1 create, 1 invalid, 1 update, 1 waiting: 3 to change",
    ]


def test_a_converged_host_takes_few_words(capsys: pytest.CaptureFixture[str]) -> None:
    show.plan(ModelHost(observed()).plan(desired(), policy()), "configured")
    assert lines(capsys) == ["node node1, backend netplan (configured)", "", "no interfaces: nothing to do"]


def test_a_file_that_only_changes_its_mode_says_from_what_to_what(capsys: pytest.CaptureFixture[str]) -> None:
    host = ModelHost(observed(ready(1, "multinic0"), files=files((0, want(1))), mode=0o644))
    show.plan(host.plan(desired(want(1)), policy()), "configured")
    assert "  chmod /etc/netplan/90-multinic0.yaml (mode 0644 → 0600)" in lines(capsys)


def hostile(text: str) -> Plan:
    file = FileChange("/etc/netplan/90-multinic0.yaml", text, f"{text}\n{text}", 0o600, 0o600)
    interface = Interface(
        name="",
        mac=None,
        mac_text=text,
        port_id=text,
        row_id=1,
        state=State.UPDATE,
        reason="drift",
        message=text,
        changes=(Change("name", text, text),),
        files=(file,),
        link=link(1, text),
    )
    return Plan(text, "netplan", (interface,))


@given(
    st.text() | st.sampled_from(["[red]x[/red]", "\x1b[31mred", "a\rb", "\x9b31m", "\u202eabc", "\x07\x00"])
)
def test_hostile_text_acts_on_no_terminal(text: str) -> None:
    import contextlib
    import io

    document: dict[str, Any] = {
        "time": 1000,
        "error": text,
        "node": text,
        "backend": "netplan",
        "exit": 4,
        "agent": None,
        "passes": {"by": None, "running": False, "last": None, "exit": None, "next": None},
        "database": {"read": False, "time": 1000, "since": None, "error": text},
        "detected": {"backend": text, "why": text},
        "interfaces": [
            {
                "name": text,
                "mac": text,
                "port_id": text,
                "row_id": 1,
                "state": "failed",
                "reason": text,
                "message": text,
                "since": None,
                "link": text,
                "up": True,
                "carrier": False,
                "mtu": 1500,
                "addresses": [],
            }
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()) as out:
        show.plan(hostile(text), "configured")
        show.plan(hostile(text), "configured", wide=True)
        show.status(document)
        show.status(document, wide=True)
    assert all(character.isprintable() or character == "\n" for character in out.getvalue())


def test_markup_of_others_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    show.plan(hostile("[red]x[/red]"), "configured")
    assert "[red]x[/red]" in capsys.readouterr().out


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    show.plan(HOST.plan(WANTED, policy()), "configured")
    assert ("\x1b[32mcreate" in terminal.getvalue()) is coloured
    assert ("\x1b[3" in terminal.getvalue()) is coloured
