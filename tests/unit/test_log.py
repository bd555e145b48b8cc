"""The log: one line per decision, for people or for machines."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.host.log import LEVELS, Log

SAID = ("info", "warning", "error")
HOSTILE = "a\nb\x1b[2J\x9b\u202e\x7f"


def lines(form: str = "text", level: str = "info", node: str = "node1") -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(form, level, node, stream), stream


def test_a_line_for_people_starts_with_what_it_is_about() -> None:
    log, stream = lines()
    log.info(
        "create: mtu 1500 → 1450", interface_name="multinic2", mac_address="fa:16:3e:00:00:01", reason="new"
    )
    log.warning("multinic3: kept", interface_name="multinic3")
    log.error("no database")
    assert stream.getvalue().splitlines() == [
        "multinic2: create: mtu 1500 → 1450",
        "warning: multinic3: kept",
        "error: no database",
    ]


def test_a_line_for_machines_has_the_documented_fields() -> None:
    log, stream = lines("json")
    log.info(
        "created",
        interface_name="multinic2",
        mac_address="fa:16:3e:00:00:01",
        interface_id=7,
        reason="new",
        hint="",
    )
    found = json.loads(stream.getvalue())
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "info",
        "msg": "created",
        "node": "node1",
        "interface_name": "multinic2",
        "mac_address": "fa:16:3e:00:00:01",
        "interface_id": 7,
        "reason": "new",
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_journal_and_nobody_else_is_told_the_level(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(journal: str) -> list[str]:
        with (tmp_path / "stderr").open("w+", encoding="utf-8") as stream:
            here = os.fstat(stream.fileno())
            monkeypatch.setenv("JOURNAL_STREAM", journal.format(here.st_dev, here.st_ino))
            log = Log(form, "debug", "node1", stream)
            for level in SAID:
                getattr(log, level)("x")
            stream.seek(0)
            return stream.read().splitlines()

    assert [line[0] == "<" for line in said("1:1")] == [False] * 3
    assert [line[:3] if line[0] == "<" else "" for line in said("{}:{}")] == ["", "<4>", "<3>"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_field_without_a_value_is_left_out(form: str) -> None:
    log, stream = lines(form)
    log.info("kept", interface_name=None, interface_id=None)
    assert "interface" not in stream.getvalue()
    assert "None" not in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
@given(text=st.text() | st.just(HOSTILE))
def test_one_decision_is_one_line_without_control_characters(form: str, text: str) -> None:
    log, stream = lines(form, node=text)
    log.info(text, interface_name=text, mac_address=text, reason=text)
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    if form == "json":
        assert json.loads(line)["msg"] == text


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_silences_what_is_below_it(level: str) -> None:
    log, stream = lines(level=level)
    for name in SAID:
        getattr(log, name)(f"said at {name}")
    heard = [name for name in SAID if f"said at {name}" in stream.getvalue()]
    assert heard == [name for name in SAID if LEVELS.index(name) >= LEVELS.index(level)]


def closed_pipe() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


def closed_terminal() -> int:
    controller, terminal = os.openpty()
    os.close(controller)
    return terminal


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("opened", [closed_pipe, closed_terminal, full_disk])
def test_a_log_that_cannot_be_written_does_not_end_the_pass(opened: Callable[[], int]) -> None:
    with io.TextIOWrapper(io.FileIO(opened(), "w"), write_through=True) as stream:
        Log(stream=stream).info("multinic0: nobody listens")
