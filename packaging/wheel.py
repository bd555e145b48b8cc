"""What a wheel holds beside the program: man pages, completions, a settings file."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACES = {
    "multinic.1": "share/man/man1/multinic.1",
    "multinic.toml.5": "share/man/man5/multinic.toml.5",
    "multinic.bash": "share/bash-completion/completions/multinic",
    "multinic.zsh": "share/zsh/site-functions/_multinic",
    "multinic.fish": "share/fish/vendor_completions.d/multinic.fish",
}


class Hook(BuildHookInterface[Any]):
    """Called by the build; an editable installation is for those who work on the program."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the files, and say where an installation has them."""
        if version == "editable":
            return
        root = Path(self.root)
        # Not in the checkout: root, who installs it, would leave there what its user cannot replace.
        made = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        # Isolated builds find their libraries by what was added to this process alone.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-B", root / "packaging/describe.py", root, made]
        subprocess.run(command, env=environment, check=True)
        files = {str(made / name): place for name, place in PLACES.items()}
        files[str(root / "packaging/multinic.toml")] = "share/doc/multinic/multinic.toml"
        build_data["shared_data"].update(files)
