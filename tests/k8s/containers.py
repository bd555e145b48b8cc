"""Images of containers: the program's, by its Dockerfile, and the one that holds the namespaces of a pod."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.hosts import CHECKOUT, run
from tests.k8s.images import BASE

BASED_ON = "localhost/base:1"
"""The image that the program's is built on."""
# It waits, and ends when it is told to. A static program, as the image has nothing else.
_SANDBOX = """\
#include <signal.h>
#include <unistd.h>
static void end(int number) { _exit(0); }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }
"""


class Builder:
    """buildah with a store of its own, in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._command = ["buildah", f"--root={directory}/store", f"--runroot={directory}/run"]
        self._command += ["--storage-driver=overlay"]

    def run(self, *arguments: str | Path, timeout: float = 300) -> str:
        """Run buildah and return what it printed."""
        environment = {**os.environ, "TMPDIR": str(self.directory)}
        return run(*self._command, *arguments, env=environment, timeout=timeout).stdout.strip()

    def base(self) -> str:
        """Make the image that the program's is built on, and return its name."""
        container = self.run("from", "scratch")
        self.run("add", "--quiet", container, BASE.build(), "/")
        self.run("commit", "--quiet", "--rm", container, BASED_ON)
        return BASED_ON

    def program(self, tag: str, target: str = "", **arguments: str) -> str:
        """Build the program's image from this checkout, or that of another target, and return its name."""
        name = f"localhost/multinic-{target}:{tag}" if target else f"localhost/multinic:{tag}"
        words = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        words += [f"--target={target}"] if target else []
        # As the machine reaches PyPI: a container has the name server of the machine, but not what it trusts.
        words += ["--network=host", "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"]
        dockerfile = CHECKOUT / "packaging/container/Dockerfile"
        self.run(
            "bud",
            "--layers",  # what targets have in common is built once
            "--isolation=chroot",
            "--timestamp=0",
            *words,
            f"--file={dockerfile}",
            f"--tag={name}",
            CHECKOUT,
        )
        return name

    def changed(self, image: str, name: str, *command: str) -> str:
        """Make an image that differs from another by what a command does in it."""
        container = self.run("from", image)
        self.run("run", "--isolation=chroot", container, "--", *command)
        self.run("commit", "--quiet", "--rm", container, name)
        return name

    def within(self, image: str, *command: str) -> str:
        """Run a command in a container of an image and return what it printed."""
        container = self.run("from", image)
        try:
            return self.run("run", "--isolation=chroot", container, "--", *command)
        finally:
            self.run("rm", container)

    def size(self, image: str) -> int:
        """Return how many bytes an image has, unpacked."""
        (found,) = json.loads(self.run("images", "--json", image))
        number, unit = str(found["size"]).split()
        return int(float(number) * {"KB": 1e3, "MB": 1e6, "GB": 1e9}[unit])

    def sandbox(self, name: str) -> str:
        """Make the image of the process that holds the namespaces of a pod."""
        program = self.directory / "pause"
        compile_it = ["gcc", "-static", "-Os", "-s", "-o", program, "-xc", "-"]
        subprocess.run(compile_it, input=_SANDBOX.encode(), check=True)
        container = self.run("from", "scratch")
        self.run("copy", "--quiet", container, program, "/pause")
        self.run("config", "--entrypoint", '["/pause"]', container)
        self.run("commit", "--quiet", "--rm", container, name)
        return name

    def save(self, image: str, archive: Path) -> Path:
        """Write an image to an archive that container runtimes import."""
        self.run("push", "--quiet", image, f"docker-archive:{archive}:{image}")
        return archive

    def inspect(self, image: str) -> Any:
        """Return what an image says of itself."""
        return json.loads(self.run("inspect", "--type=image", image))
