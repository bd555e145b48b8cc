"""Write the man pages and the shell completions, from the program and its reference.

python3 -BIS packaging/describe.py LIBRARY DIRECTORY

LIBRARY is the directory with multinic and click; multinic.1, multinic.toml.5, multinic.bash, multinic.fish
and multinic.zsh are written to DIRECTORY. The date on the pages is that of SOURCE_DATE_EPOCH.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, sys.argv[1])

import commands_page
import settings_page
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from multinic import __version__
from multinic.cli import main

PROGRAM = "multinic"
REFERENCE = Path(__file__).resolve().parents[1] / "docs/reference.md"


def completions() -> Iterator[tuple[str, str]]:
    """Yield the name of each shell and its script."""
    variable = f"_{PROGRAM.upper()}_COMPLETE"
    for shell in (BashComplete, ZshComplete, FishComplete):
        # Not the `source` of the class itself: that of bash first looks for a bash of a certain version.
        yield shell.name, ShellComplete.source(shell(main, {}, PROGRAM, variable))


if __name__ == "__main__":
    reference = REFERENCE.read_text(encoding="utf-8")
    made = {
        "multinic.1": commands_page.page(main, reference, __version__),
        "multinic.toml.5": settings_page.page(reference, __version__),
        **{f"multinic.{name}": text for name, text in completions()},
    }
    directory = Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (directory / name).write_text(text, encoding="utf-8")
