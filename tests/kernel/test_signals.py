"""A signal in the middle of a request to the kernel ends the run as one between two requests does."""

from __future__ import annotations

import json
import sys

from tests.kernel.node import ROOT

# Changes a link again and again, each time in a child that is told to end a few lines later than the last.
WITHIN = """\
import json, os, signal, sys
from multinic.host import ending
from multinic.host.host import Host
from multinic.kernel.links import Links

CASES = 60

def change():
    with Links(Host("/")) as links:
        links.mtu(1, "lo", 1400)

def change_until(number):
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return trace

    sys.settrace(trace)
    try:
        change()
    finally:
        sys.settrace(None)
    return seen

change()
lines = change_until(0)
statuses = {}
for number in range(1, lines - 20, lines // CASES):
    child = os.fork()
    if not child:
        ending.in_order()
        change_until(number)
        sys.exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    statuses.setdefault(status, []).append(number)
print(json.dumps(statuses))
"""


def test_a_run_that_is_ended_within_a_request_to_the_kernel_ends_in_order(namespace):
    environment = {"PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    done = namespace.run(sys.executable, "-c", WITHIN, env=environment)
    statuses = json.loads(done.stdout)
    assert done.stderr == ""
    assert set(statuses) == {"143"}
    assert len(statuses["143"]) >= 60
