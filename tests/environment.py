"""The environment that tests run in: the same on every machine, whatever the shell that starts them exports.

A pytest plugin, loaded before all else (pyproject.toml).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping

import pytest

KEPT = ("PATH", "LD_LIBRARY_PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TERM", "CI", "XDG_CACHE_HOME")
"""Where things are on this machine."""
KEPT_PREFIXES = (
    "MULTINIC_TEST_",
    *("COVERAGE_", "COV_", "PYTEST_"),
    # How mmdebstrap and pip reach their packages.
    *("PIP_", "SSL_CERT_", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
SET = {"LANG": "C.UTF-8"}
STARTED = "MULTINIC_TEST_STARTED_AS"
"""Says which process was started anew already: the one with this number, as exec does not change it."""


def own(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return what tests may know of the environment of the process that starts them."""
    kept = {name: text for name, text in inherited.items() if name in KEPT or name.startswith(KEPT_PREFIXES)}
    return kept | SET


def enter() -> None:
    """Run in that environment from here on, with the umask and the signals that a login shell gives.

    A variable may have decided something when this interpreter started (PYTHONOPTIMIZE, the encoding of
    LANG): so the same command is started anew, once.
    """
    environment = own(os.environ)
    started = environment.pop(STARTED, "") == str(os.getpid())
    if dict(os.environ) != environment and not started and "PYTEST_XDIST_WORKER" not in os.environ:
        # `coverage run` sets these itself; with them, it would be measured as a program under test.
        for name in [name for name in environment if name.startswith("COVERAGE_PROCESS_")]:
            del environment[name]
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, sys.orig_argv, environment | {STARTED: str(os.getpid())})
    os.environ.clear()
    os.environ.update(environment)
    os.umask(0o022)
    # Each ends the run in order, as Control-C does. A shell that starts us in the background has us ignore
    # SIGINT, and so would all that we start; nohup does it with SIGHUP and means it. No handler is inherited.
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, (lambda *_: None) if nohup else signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    """Do it before pytest captures the output, and before any other module of the tests is imported."""
    enter()
    return (yield)
