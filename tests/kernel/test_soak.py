"""A short soak on every run; `make soak` has the long one."""

from __future__ import annotations

import sys

import pytest

from tests.kernel.node import ROOT


def soak(namespace, directory, seed):
    """Run sixty passes, seeded; return what the soak says."""
    command = [sys.executable, "-m", "tests.soak", "--passes", "60", "--seed", str(seed)]
    environment = {"PYTHONPATH": str(ROOT)}
    return namespace.run(*command, "--inside", directory, check=False, timeout=600, env=environment)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_whatever_happens_every_promise_is_kept(namespace, tmp_path, seed):
    done = soak(namespace, tmp_path, seed)
    assert done.returncode == 0, done.stderr
    assert "every promise was kept" in done.stdout


MEDDLE = """\
exec 2>/dev/null
while :; do ip link set eth0 mtu 1400; sleep 0.02; ip link set eth0 mtu 1480; sleep 0.02; done
"""


def test_a_promise_that_is_broken_is_told_with_the_seed_and_every_step(namespace, tmp_path):
    """The soak can fail: here somebody else changes what is not ours while it runs."""
    meddler = namespace.popen("sh", "-c", MEDDLE)
    try:
        done = soak(namespace, tmp_path, 5)
    finally:
        meddler.kill()
        meddler.wait()
    assert done.returncode == 1
    assert "PASS" in done.stderr
    assert "--seed 5 --passes 60" in done.stderr
    assert "eth0" in done.stderr.splitlines()[-1]
