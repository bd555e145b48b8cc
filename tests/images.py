"""File systems of test hosts: small Debians, made by mmdebstrap from the mirror that it uses by default here.

Built once per recipe, and kept in the user's cache directory.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.scratch import mark

UNWANTED = ("man", "doc", "locale", "info")
"""What no image has, below /usr/share."""


def cache() -> Path:
    """Return the directory that images are kept in."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "multinic-tests"


@dataclass(frozen=True)
class Image:
    """The recipe of an image; a directory, once it is built."""

    name: str
    suite: str
    packages: str
    """Comma-separated, besides those that every Debian has."""
    setup: str
    """A shell script that gets the empty root, before anything is unpacked ..."""
    customize: str
    """... and one that gets the complete root."""
    options: tuple[str, ...] = ()
    """More options of mmdebstrap."""

    @property
    def recipe(self) -> str:
        """All that makes a difference to the result."""
        return "\n".join((self.suite, self.packages, *UNWANTED, self.setup, self.customize, *self.options))

    @property
    def path(self) -> Path:
        """Where the image of this recipe is, or will be."""
        return cache() / f"{self.name}-{hashlib.sha256(self.recipe.encode()).hexdigest()[:12]}"

    def build(self) -> Path:
        """Return the directory with the image, built if this recipe was not yet."""
        if self.path.exists():
            return self.path
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(self.path.with_suffix(".lock")):
            if not self.path.exists():
                self._build()
        return self.path

    def finish(self, work: Path) -> Path:
        """Return what becomes the image, a directory in `work`; "root" in there is the file system."""
        return work / "root"

    def _build(self) -> None:
        work = Path(tempfile.mkdtemp(prefix=f"{mark()}{self.name}-", dir=self.path.parent))
        command = ["setpriv", "--pdeathsig=TERM"]  # it unmounts on its way out
        command += ["mmdebstrap", "--quiet", "--mode=root", "--format=directory", "--variant=minbase"]
        command += ["--aptopt=Acquire::Languages none", f"--include={self.packages}"]
        command += self.options
        command += [f"--setup-hook={self.setup}", f"--customize-hook={self.customize}"]
        command += [f"--dpkgopt=path-exclude=/usr/share/{directory}/*" for directory in UNWANTED]
        done = subprocess.run(
            [*command, self.suite, work / "root"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=1800,
        )
        if done.returncode:
            raise RuntimeError(f"the image {self.name} could not be built:\n{done.stdout[-4000:]}")
        self.finish(work).rename(self.path)
        _remove(work)


def _remove(directory: Path) -> None:
    subprocess.run(["rm", "-rf", "--one-file-system", directory], check=True)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
