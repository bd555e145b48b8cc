"""The newcomer's first minute: the real commands on a stage that is gone afterwards.

Every step says what it promises and looks whether it is so, which makes the demo a test as well.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import click

from multinic import ending
from multinic.demo import namespace


def run(*, keep: bool) -> int:
    """Play the demo and return its exit status; `keep` opens a shell at the end.

    The first call does not return: this process starts again inside a network namespace of its
    own. Raises HostError where that cannot be had, and when a promise was not kept.
    """
    if not namespace.inside():
        namespace.enter("demo", *(["--keep"] if keep else []))
    from multinic.demo.stage import Stage
    from multinic.demo.story import Story

    ending.in_order()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no tick mark still gets its demo
    try:
        # What happens below this directory is all that the demo does to a file system.
        with tempfile.TemporaryDirectory(prefix="multinic-demo-") as directory:
            stage = Stage(Path(directory))
            with Story(stage) as story:
                story.play()
            if keep:
                stage.shell()
    except KeyboardInterrupt:
        click.echo("\ninterrupted; everything of the demo is removed", err=True)
        return 128 + signal.SIGINT
    return 0
