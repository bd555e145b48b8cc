"""Take the pictures in docs/dashboard/: `make screenshots`. Look at them before they are committed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from multinic.demo.fleet import Fleet
from tests.web.browser import browser
from tests.web.conftest import settings
from tests.web.server import dashboard

PLACE = Path(__file__).parents[2] / "docs/dashboard"
PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "overview": ("/", {"viewport": {"width": 1280, "height": 1500}}),
    "interfaces": ("/interfaces?state=failed&state=invalid&sort=-state", {}),
    "node": ("/node?name=worker-f001", {}),
    "wall": ("/wall?theme=dark", {"viewport": {"width": 1280, "height": 720}}),
    "phone-ko": (
        "/interfaces?state=failed",
        {"viewport": {"width": 390, "height": 844}, "locale": "ko-KR", "color_scheme": "dark"},
    ),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/fleet.db"
        with Fleet(settings(url)), dashboard(url, Path(directory)) as running, browser() as found:
            for name, (path, options) in PICTURES.items():
                page = found.new_context(**{"viewport": {"width": 1280, "height": 800}} | options).new_page()
                page.goto(running.address + path)
                page.screenshot(path=str(PLACE / f"{name}.png"))


if __name__ == "__main__":
    main()
