"""The harness itself: a run of the program counts for the coverage wherever a test starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from coverage import CoverageData

ROOT = Path(__file__).parents[2]

# As a test does it: the program as a process of its own, here and in a namespace, in another directory; and
# one that is ended by a signal.
RUNS = """\
import os, signal, subprocess, sys
from tests.namespaces import Namespace

WAITS = "import multinic.values.desired, signal; print(flush=True); signal.pause()"

os.chdir(sys.argv[1])
subprocess.run([sys.executable, "-c", "import multinic.values.errors"], check=True)
with Namespace() as namespace:
    namespace.run(sys.executable, "-c", "import multinic.decide.naming")
waits = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE)
waits.stdout.readline()
waits.terminate()
waits.wait()
"""


def test_runs_of_the_program_are_measured_also_in_a_namespace_and_when_ended_by_a_signal(tmp_path):
    (tmp_path / "runs.py").write_text(RUNS)
    outside = {name: text for name, text in os.environ.items() if not name.startswith("COV_")}
    outside = {name: text for name, text in outside.items() if not name.startswith("COVERAGE_")}
    subprocess.run(
        [
            sys.executable,
            "-m",
            "coverage",
            "run",
            "--data-file",
            tmp_path / "data",
            tmp_path / "runs.py",
            tmp_path,
        ],
        cwd=ROOT,
        env=outside | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    measured = set()
    for path in tmp_path.glob("data.*"):
        data = CoverageData(str(path))
        data.read()
        measured |= {Path(file).relative_to(ROOT) for file in data.measured_files()}
    modules = ("values/errors.py", "decide/naming.py", "values/desired.py")
    wanted = {Path("multinic", name) for name in modules}
    assert wanted <= measured
