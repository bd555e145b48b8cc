"""The wheel of this checkout, as `pip install` makes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def build(directory: Path) -> Path:
    """Build the wheel and return its path. It is pure Python: one for all."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", directory]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = directory.glob("multinic-*-py3-none-any.whl")
    return wheel
