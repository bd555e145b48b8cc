"""The seam to the host: files appear whole or not at all, and no command can hang or learn a secret."""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multinic.host.host import File, Host
from multinic.host.scratch import scratch, tidy
from multinic.values.errors import CommandFailed, HostError
from multinic.values.paths import SCRATCH, UNFINISHED

PATH = "/etc/netplan/90-multinic0.yaml"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(str(tmp_path))


@pytest.fixture(params=[0o022, 0o077, 0o000], ids="umask {:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def names(host: Host) -> list[str]:
    return sorted(
        str(found.relative_to(host.root)) for found in Path(host.root).rglob("*") if not found.is_dir()
    )


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644], ids=oct)
def test_a_file_is_written_with_exactly_the_mode_that_is_asked_for(host: Host, mode: int) -> None:
    host.write(PATH, "new\n", mode)
    assert host.file(PATH) == File(b"new\n", mode, os.geteuid(), os.getegid())
    assert host.read(PATH) == "new\n"
    assert names(host) == [PATH.lstrip("/")]


class Stopped(BaseException):
    """The end of the process, at a place of the test's choice."""


def stopping_at(place: str) -> Host:
    def probe(what: str) -> None:
        if what.startswith(place):
            raise Stopped

    return Host(probe=probe)


@pytest.mark.parametrize("existing", [None, "old\n"])
def test_a_reader_sees_the_old_file_or_the_new_one_and_nothing_between(
    host: Host, existing: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if existing is not None:
        host.write(PATH, existing, 0o600)
    seen: list[str | None] = []
    real = {name: getattr(os, name) for name in ("fsync", "fchmod", "replace", "open")}
    for name, call in real.items():

        def looked(*args: object, _call: object = call, **options: object) -> object:
            seen.append(_read(host))
            result = _call(*args, **options)  # type: ignore[operator]
            seen.append(_read(host))
            return result

        monkeypatch.setattr(os, name, looked)
    host.write(PATH, "new\n" * 1000, 0o600)
    assert set(seen) == {existing, "new\n" * 1000}


def _read(host: Host) -> str | None:
    found = Path(host.path(PATH))
    return found.read_text(encoding="utf-8") if found.exists() else None


def test_what_is_written_is_on_disk_before_it_gets_its_name(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, _name=name, _real=real: (calls.append(_name), _real(*args))[1]
        )
    host.write(PATH, "new\n", 0o600)
    assert calls == ["fsync"] * 2 + ["fsync", "replace", "fsync"]  # /etc, netplan; the file, its name, in it


def test_a_write_that_fails_leaves_the_old_file_and_no_scrap(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write(PATH, "old\n", 0o600)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match=f"cannot write {PATH}: No space left") as error:
        host.write(PATH, "new\n", 0o600)
    assert "full" in error.value.hint
    assert host.read(PATH) == "old\n"
    assert names(host) == [PATH.lstrip("/")]


def test_what_does_not_fit_into_a_scratch_directory_is_told_and_nothing_stays_of_it(host: Host) -> None:
    def fill() -> None:
        with scratch(host) as inside:
            Path(host.path(inside), "file").symlink_to("/dev/full")
            Path(host.path(inside), "file").write_text("x", encoding="utf-8")

    with pytest.raises(HostError, match="No space left") as error:
        fill()
    assert "full" in error.value.hint
    assert names(host) == []
    assert host.names("/run/multinic") == []


def test_a_pass_tidies_up_after_killed_runs_and_leaves_a_scratch_directory_in_use_alone(host: Host) -> None:
    with scratch(host) as left_behind:
        pass
    Path(host.path(left_behind), "etc").mkdir(parents=True)
    with scratch(host) as inside:
        tidy(host, SCRATCH)
        assert host.names(SCRATCH) == [os.path.basename(inside)]


def test_a_directory_of_drop_ins_goes_with_the_last_of_them(host: Host) -> None:
    directory = "/etc/systemd/network/10-netplan-multinic0.network.d"
    ours, of_others = f"{directory}/multinic.conf", f"{directory}/own.conf"
    rule = "/etc/udev/rules.d/70.rules"
    for path in (ours, of_others, rule):
        host.write(path, "", 0o644)
    host.remove(ours)
    assert host.names(directory) == ["own.conf"]
    host.restore(of_others, None)
    assert not host.present(directory)
    host.remove(rule)
    assert host.present("/etc/udev/rules.d")


def test_what_its_own_run_removes_first_is_no_error_for_the_pass_that_tidies_up(host: Host) -> None:
    def vanish(moment: str) -> None:
        if moment.startswith("before remove"):
            Path(host.path(moment.removeprefix("before remove "))).unlink()

    host.write(f"{SCRATCH}/x{UNFINISHED}", "", 0o600)
    tidy(host.probed(vanish), SCRATCH)
    assert host.names(SCRATCH) == []


def test_a_symlink_is_replaced_and_what_it_points_to_is_left_alone(host: Host) -> None:
    precious = Path(host.root, "precious")
    precious.write_text("precious", encoding="utf-8")
    Path(host.root, "etc/netplan").mkdir(parents=True)
    Path(host.path(PATH)).symlink_to(precious)
    assert host.file(PATH) is None
    host.write(PATH, "new\n", 0o600)
    assert precious.read_text(encoding="utf-8") == "precious"
    assert host.read(PATH) == "new\n"
    host.remove(PATH)
    Path(host.path(PATH)).symlink_to(precious)
    host.remove(PATH)
    assert precious.read_text(encoding="utf-8") == "precious"
    assert not host.present(PATH)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_regular_file_is_not_read_and_reading_never_waits(host: Host, make: object) -> None:
    Path(host.root, "etc/netplan").mkdir(parents=True)
    make(host.path(PATH))  # type: ignore[operator]
    assert host.file(PATH) is None
    assert host.read(PATH) is None
    assert host.present(PATH)


def test_absence_is_no_error(host: Host) -> None:
    assert host.file(PATH) is None
    assert host.names("/etc/netplan") == []
    assert not host.present(PATH)
    host.remove(PATH)
    host.write("/etc/file", "", 0o600)
    assert host.file("/etc/file/below") is None
    assert host.names("/etc/file") == []
    host.remove("/etc/file/below")


def test_a_file_that_is_much_too_large_is_refused(host: Host) -> None:
    with Path(host.root, "huge").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(HostError, match="/huge is larger than"):
        host.file("/huge")


def test_a_directory_in_the_way_is_an_error_that_names_it(host: Host) -> None:
    Path(host.path(PATH)).mkdir(parents=True)
    for change in (lambda: host.write(PATH, "", 0o600), lambda: host.remove(PATH)):
        with pytest.raises(HostError, match=PATH):
            change()
    assert names(host) == []


@settings(max_examples=25)
@given(
    content=st.none() | st.binary(), mode=st.sampled_from([0o600, 0o644, 0o400, 0o4755]), meant=st.binary()
)
def test_a_file_is_put_back_byte_for_byte_with_its_mode_or_its_absence(
    host: Host, content: bytes | None, mode: int, meant: bytes
) -> None:
    host.remove(PATH)
    if content is not None:
        host.write(PATH, content, mode)
    before = host.file(PATH)
    host.write(PATH, meant, 0o600)
    host.restore(PATH, before)
    assert host.file(PATH) == before
    if content is None:
        assert not host.present(PATH)
    else:
        assert stat.S_IMODE(Path(host.path(PATH)).stat().st_mode) == mode


def test_what_is_as_it_was_is_not_written_again(host: Host) -> None:
    host.write(PATH, "same", 0o600)
    before = Path(host.path(PATH)).stat().st_ino
    host.restore(PATH, host.file(PATH))
    assert Path(host.path(PATH)).stat().st_ino == before


def test_every_change_can_be_stopped_before_and_after(host: Host) -> None:
    told: list[str] = []
    probed = Host(host.root, probe=told.append)
    probed.write("/a", "", 0o600)
    probed.rename("/a", "/b")
    probed.remove("/b")
    probed.run("true", timeout=9)
    assert told == [
        f"{when} {what}"
        for what in ("write /a", "rename /a to /b", "remove /b", "run true")
        for when in ("before", "after")
    ]
    probed.run("true", timeout=9, changes=False)
    probed.restore("/a", None) if probed.present("/a") else None
    assert len(told) == 8


def test_a_change_that_is_stopped_before_it_begins_did_not_happen(host: Host) -> None:
    stopped = Host(host.root, probe=stopping_at("before").probe)
    with pytest.raises(Stopped):
        stopped.write(PATH, "new", 0o600)
    assert names(host) == []


# Commands.

PYTHON = (sys.executable, "-I", "-c")


def test_a_command_gives_back_what_it_printed(host: Host) -> None:
    assert host.run("printf", "%s|%s", "a b", "$(id)\n", timeout=9) == "a b|$(id)\n"


def test_a_command_that_fails_says_its_status_and_its_words(host: Host) -> None:
    with pytest.raises(CommandFailed) as error:
        host.run("sh", "-c", "echo out; echo wrong >&2; exit 7", timeout=9)
    assert (error.value.status, error.value.stdout, error.value.stderr) == (7, "out\n", "wrong\n")
    assert "sh -c 'echo out; echo wrong >&2; exit 7' ended with status 7: wrong" in str(error.value)


def test_a_command_that_is_killed_says_by_which_signal(host: Host) -> None:
    with pytest.raises(CommandFailed, match="was killed by signal 15"):
        host.run("sh", "-c", "kill $$", timeout=9)


@pytest.mark.parametrize("program", ["/nowhere/to/be/found", "/etc/passwd"])
def test_a_command_that_cannot_be_run_is_an_error_and_no_traceback(host: Host, program: str) -> None:
    with pytest.raises(CommandFailed, match=f"cannot run {program}: "):
        host.run(program, timeout=9)


@pytest.mark.parametrize("system", ["new", "old"])
def test_a_command_past_its_limit_is_killed_with_all_its_children(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    """The child keeps the output open and ignores polite requests, as netplan below nsenter did."""
    if system == "old":  # or a Python that was built there
        monkeypatch.delattr(os, "pidfd_open")
        assert host.run("echo", "done", timeout=300) == "done\n"
    script = f"(trap '' TERM HUP; echo $$ > {tmp_path}/shell; exec sleep 600) & wait"
    with pytest.raises(CommandFailed, match=r"did not end within 0\.5 s and was killed"):
        host.run("sh", "-c", f"sleep 600 & echo $! > {tmp_path}/child; {script}", timeout=0.5)
    _wait_until_gone(int((tmp_path / "child").read_text(encoding="ascii")))


def test_a_command_that_prints_without_end_is_killed_before_it_fills_our_memory(host: Host) -> None:
    with pytest.raises(CommandFailed, match=r"^yes printed or wrote more than 64 MiB and was killed: "):
        host.run("yes", timeout=300)


def test_a_child_that_keeps_the_output_open_does_not_hold_us(host: Host, tmp_path: Path) -> None:
    assert host.run("sh", "-c", f"sleep 600 & echo $! > {tmp_path}/child; echo done", timeout=300) == "done\n"
    os.kill(int((tmp_path / "child").read_text(encoding="ascii")), signal.SIGKILL)  # it is still there


def _wait_until_gone(pid: int) -> None:
    for _ in range(1000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":  # dead; whoever adopted it has not looked yet
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} still lives")


def test_no_secret_of_ours_reaches_a_command(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DB_PASSWORD",
        "MULTINIC_DATABASE_PASSWORD",
        "MULTINIC_DATABASE_URL",
        "LD_PRELOAD",
        "LC_ALL",
    ):
        monkeypatch.setenv(name, "s3cr3t")
    told = host.run(*PYTHON, "import os; print(dict(os.environ))", timeout=60)
    assert "s3cr3t" not in told
    assert "PASSWORD" not in told


def test_a_command_cannot_wait_for_input(host: Host) -> None:
    assert host.run("cat", timeout=60) == ""


def test_output_that_is_no_text_is_no_error(host: Host) -> None:
    assert host.run("printf", "a\\377b", timeout=9) == "a\ufffdb"


def test_an_endless_output_is_cut(host: Host) -> None:
    told = host.run("sh", "-c", "yes | head -c 1000000", timeout=60)
    assert 1000 < len(told) < 200_000


def test_the_end_of_a_long_complaint_is_told(host: Host) -> None:
    with pytest.raises(CommandFailed) as error:
        host.run("sh", "-c", "yes noise | head -c 1000000 >&2; echo the rea''son >&2; exit 1", timeout=60)
    assert "the reason" in str(error.value)
    assert len(str(error.value)) < 4000


def test_the_host_around_a_container_is_a_prefix_and_a_root(tmp_path: Path) -> None:
    around = Host(str(tmp_path), prefix=("env", "WHERE=outside"))
    assert around.run("sh", "-c", "echo $WHERE", timeout=9) == "outside\n"
    assert around.path("/etc/x") == str(tmp_path / "etc/x")
    assert Host().path("/etc/x") == "/etc/x"


def test_a_kernel_variable_is_set_where_it_differs_and_an_absent_one_is_no_error(tmp_path: Path) -> None:
    told: list[str] = []
    host, variable = Host(probe=told.append), tmp_path / "accept_ra"
    variable.write_text("1\n", encoding="ascii")
    host.sysctl(str(variable), "0")
    assert variable.read_text(encoding="ascii") == "0"
    assert len(told) == 2
    host.sysctl(str(variable), "0")
    host.sysctl(str(tmp_path / "none"), "0")
    assert len(told) == 2


def test_a_kernel_variable_is_set_below_the_root_which_may_be_all_that_can_be_written(tmp_path: Path) -> None:
    own = tmp_path / "proc/sys/net/variable"
    theirs = tmp_path / "host" / own.relative_to("/")
    for variable in (own, theirs):
        variable.parent.mkdir(parents=True)
        variable.write_text("1\n")
    Host(str(tmp_path / "host")).sysctl(str(own), "0")
    assert (own.read_text(), theirs.read_text()) == ("1\n", "0")


def test_what_a_command_says_on_stderr_can_be_had_whatever_its_status_is_worth(host: Host) -> None:
    assert host.outputs_of("sh", "-c", "echo out; echo wrong >&2") == ("out\n", "wrong\n")
    with pytest.raises(CommandFailed):
        host.outputs_of("sh", "-c", "exit 3")
