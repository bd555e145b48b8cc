"""The harness itself: tests give the same result whatever the shell exports that starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import environment

ROOT = Path(__file__).parents[2]
HOSTILE = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONOPTIMIZE": "2",
    "PYTHONUTF8": "0",
    "PYTHONWARNINGS": "error",
    "LANG": "ko_KR.EUC-KR",
    "LC_ALL": "POSIX",
    "LC_TIME": "x",
    "TZ": "Asia/Seoul",
    "COLUMNS": "20",
    "NO_COLOR": "1",
    "FORCE_COLOR": "1",
    "LOG_LEVEL": "debug",
    "NODE_NAME": "x",
    "HEALTH_PORT": "x",
    "DB_HOST": "x",
    "DB_PORT": "x",
    "MULTINIC_NODE": "y",
    "MULTINIC_BACKEND": "x",
    "POLL_INTERVAL": "x",
    "CREDENTIALS_DIRECTORY": "/nope",
    "JOURNAL_STREAM": "1:1",
    "LISTEN_FDS": "1",
}


def test_a_test_knows_nothing_of_the_shell_that_started_it() -> None:
    known = {*environment.KEPT, *environment.SET}
    assert [
        name for name in os.environ if name not in known and not name.startswith(environment.KEPT_PREFIXES)
    ] == []
    assert (os.environ["LANG"], sys.flags.optimize, sys.getfilesystemencoding()) == ("C.UTF-8", 0, "utf-8")
    umask = os.umask(0o022)
    assert umask == 0o022
    child = [
        sys.executable,
        "-c",
        "import signal as s; print(s.getsignal(s.SIGINT), s.getsignal(s.SIGHUP) == s.SIG_DFL)",
    ]
    handlers = subprocess.run(child, check=True, capture_output=True, text=True).stdout
    assert ("default_int_handler" in handlers, "True" in handlers) == (True, True), handlers


def test_no_property_has_a_limit_of_time() -> None:
    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check


@pytest.mark.parametrize(
    ("exported", "workers"), [({}, "0"), (HOSTILE, "0"), (HOSTILE, "1")], ids=["empty", "hostile", "workers"]
)
def test_a_run_has_an_environment_of_its_own(exported: dict[str, str], workers: str) -> None:
    test = f"{__file__}::{test_a_test_knows_nothing_of_the_shell_that_started_it.__name__}"
    command = [sys.executable, "-m", "pytest", "--tiers=unit", "-n", workers, test]
    done = subprocess.run(
        ["sh", "-c", 'umask 077; trap "" HUP INT; exec "$@"', "sh", *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **exported},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unit    1 passed" in done.stdout
