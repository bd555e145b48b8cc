"""Take the screens in docs/screens/: `make pages`. The real program on a terminal of 80 columns and 24 lines.

A network namespace stands for the host. Look at the screens before they are committed.
"""

from __future__ import annotations

import html
import io
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.kernel.node import Node, mac_of
from tests.namespaces import Namespace

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "docs/screens"
COLUMNS, LINES = 80, 24
WIDTH = 12.2  # of a character on a picture
TIME, NOON = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "2026-11-29 12:00:00"
"""All that happens, happens at noon: a picture changes only with the program."""
FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
"""Those of the reader's machine: nothing is fetched from elsewhere."""


class Host(Node):
    """A host as its operator sees it: with settings in a file, so that commands are short."""

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        super().__init__(namespace, directory)
        self.settings.write_text(f'node = "worker-1"\nbackend = "netlink"\n[database]\nurl = "{self.url}"\n')

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "multinic", "--root", str(self.root), *map(str, arguments)]

    def screen(self, line: str) -> str:
        """Return what a terminal shows after a command line, with its colours."""
        environment = self.environment()
        del environment["NO_COLOR"]
        size = ("env", f"COLUMNS={COLUMNS}", f"LINES={LINES}")
        command = (*size, *self.command(*line.split()[1:]))
        done = self.namespace.run(
            sys.executable, str(ROOT / "tests/terminal.py"), *command, env=environment, check=False
        )
        return f"$ {line}\n{TIME.sub(NOON, done.stdout).rstrip()}\n"


def port(name: str) -> dict[str, str]:
    """Return what the rows of one port and its subnet have in common."""
    return {"port_id": name, "subnet_id": name, "node": "worker-1"}


def story(host: Host) -> Iterator[tuple[str, str]]:
    """Yield the name of each screen and what is on it."""
    host.namespace.plug("eth0", "fa:16:3e:00:00:ee", up=True)
    host.ip("address", "add", "192.0.2.10/24", "dev", "eth0")
    for number, name in ((1, "ens7"), (2, "ens8")):
        host.namespace.plug(name, mac_of(number))
    host.attach(1, "10.10.1.11", 1450, cidr="10.10.1.0/24", **port("storage"))
    host.reconcile()
    host.sql("UPDATE multi_interface SET mtu = 9000 WHERE port_id = 'storage'")
    host.attach(2, "10.10.2.11 fd00:10::11/64", cidr="10.10.2.0/24", **port("tenant"))
    host.attach(3, "10.10.3.11", cidr="10.10.3.0/24", **port("backup"))
    yield "plan", host.screen("multinic plan")
    host.reconcile()
    yield "status", host.screen("multinic status")
    yield "history", host.screen("multinic history")
    host.attach(4, "10.10.33.12", cidr="10.10.4.0/24", **port("wrong"))
    yield "invalid", host.screen("multinic plan")


def picture(text: str) -> str:
    """Return what is on a screen as SVG. Raises ValueError if it does not fit on one."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.text import Text

    console = Console(width=COLUMNS, record=True, file=io.StringIO(), color_system="truecolor")
    shown = Text.from_ansi(text)
    if len(shown.wrap(console, COLUMNS)) > LINES:
        raise ValueError(f"this does not fit on a screen of {LINES} lines:\n{shown}")
    console.print(shown)
    svg = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = svg.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}")
    title = text.splitlines()[0].removeprefix("$ ")
    made = console.export_svg(title=title, code_format=svg, unique_id="screen")
    return "".join(f"{line.rstrip()}\n" for line in made.splitlines())


def words(svg: str) -> list[str]:
    """Return the lines on such a picture."""
    lines: dict[int, str] = {}
    pattern = r'<text[^>]* x="([\d.]+)"[^>]*#screen-line-(\d+)\)">(.*?)</text>'
    for x, number, text in re.findall(pattern, svg):
        before = lines.get(int(number), "").ljust(round(float(x) / WIDTH))
        lines[int(number)] = before + html.unescape(text).replace("\xa0", " ")
    return [lines.get(number, "").rstrip() for number in range(max(lines) + 1)]


def screens() -> dict[str, str]:
    """Return every screen, as text with colours, by its name."""
    with tempfile.TemporaryDirectory() as directory, Namespace() as namespace:
        host = Host(namespace, Path(directory))
        try:
            return dict(story(host))
        finally:
            host.connection.close()


def main() -> None:
    PLACE.mkdir(exist_ok=True)
    for name, text in screens().items():
        (PLACE / f"{name}.svg").write_text(picture(text), encoding="utf-8")


if __name__ == "__main__":
    main()
