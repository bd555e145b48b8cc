"""Run the demo: the real commands in a namespace and a directory that are removed afterwards.

Every step makes promises and checks them, so the demo is also a test.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import click

from multinic.demo import namespace
from multinic.host import ending
from multinic.host.language import translated


def run(*, keep: bool) -> int:
    """Play the demo and return its exit status; `keep` opens a shell at the end.

    The first call does not return: this process starts again inside a network namespace of its
    own. Raises HostError if that cannot be made, and if a promise was not kept.
    """
    if not namespace.inside():
        namespace.enter("demo", *(["--keep"] if keep else []))
    from multinic.demo.stage import Stage
    from multinic.demo.story import Story

    ending.in_order()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no tick mark still gets its demo
    try:
        # The demo writes to no other directory.
        with tempfile.TemporaryDirectory(prefix="multinic-demo-") as directory:
            stage = Stage(Path(directory))
            with Story(stage) as story:
                story.play()
            if keep:
                stage.shell()
    except KeyboardInterrupt:
        click.echo(translated("\ninterrupted; everything of the demo is removed"), err=True)
        return 128 + signal.SIGINT
    return 0
