"""A directory for a server or a machine of the tests, gone with them however they end."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """Make a directory. Not pytest's tmp_path: a socket's path has room for 107 characters."""
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    # Removes the directory at the end of its input: at the end of the block, or when the tests are killed.
    keeper = subprocess.Popen(
        ["sh", "-c", 'cat; rm -rf "$1"', "sh", directory], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield directory
    finally:
        keeper.communicate()
