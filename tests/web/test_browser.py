"""What a reader sees, in a real browser: live pages, keyboard, languages, dark, phones; what axe finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from multinic.demo.fleet import Fleet
from tests.web.browser import browser
from tests.web.conftest import poison, settings
from tests.web.server import Dashboard, dashboard

PAGES = (
    *("/", "/wall", "/nodes?result=partial", "/interfaces?state=!converged&sort=-state", "/nodes?q=nobody"),
    *("/node?name=worker-a001", "/subnet?id=00000000-5b1e-4000-8000-000000000000", "/nope"),
)
SEEN = "document.dispatchEvent(new Event('visibilitychange'))"
SOON = 30_000  # ms: an answer is kept for five seconds


class Place(NamedTuple):
    fleet: Fleet
    dashboard: Dashboard
    browser: Browser


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("browser")
    url = f"sqlite:///{directory}/fleet.db"
    with Fleet(settings(url), nodes=80) as fleet, dashboard(url, directory) as running, browser() as found:
        poison(fleet)
        yield Place(fleet, running, found)


Open = Callable[..., Page]


@pytest.fixture
def open_page(place: Place) -> Iterator[Open]:
    """Open pages, each for a reader of its own; at the end the browser must have complained of nothing."""
    contexts, said = [], []

    def opened(path: str, **options: Any) -> Page:
        context = place.browser.new_context(**{"timezone_id": "Asia/Seoul", "locale": "en-GB"} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{path}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"{path}: {error}"))
        page.goto(place.dashboard.address + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    # The tests that end the dashboard, and ask for a page that is not there, mean it.
    assert [line for line in said if "Failed to load resource" not in line] == []


def faster(page: Page) -> None:
    """Let a page ask at once, and every half second."""
    page.evaluate("document.body.dataset.seconds = '0.5'")
    page.evaluate(SEEN)


def write(place: Place, text: str, *values: Any) -> None:
    place.fleet.database.execute(text, values)


@pytest.mark.parametrize("look", ["light", "dark", "ko", "phone"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(open_page: Open, look: str) -> None:
    options: dict[str, Any] = {
        "light": {},
        "dark": {"color_scheme": "dark"},
        "ko": {"locale": "ko-KR"},
        "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
    }[look]
    page = open_page(PAGES[0], **options)
    for path in PAGES:
        page.goto(page.url.partition("/")[0] + "//" + page.url.split("/")[2] + path)
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    if look == "ko":
        assert page.evaluate("document.documentElement.lang") == "ko"
        expect(page.locator("h1")).to_have_text("그런 페이지는 없습니다.")
        page.goto(page.url.replace("/nope", "/"))
        expect(page.locator("h1")).to_have_text("개요")
        page.get_by_role("link", name="English").click()
        expect(page.locator("h1")).to_have_text("Overview")
        page.get_by_role("link", name="Nodes", exact=True).click()
        expect(page.locator("h1")).to_contain_text("Nodes")  # it is kept


def test_dark_and_light_are_as_the_system_unless_chosen(open_page: Open) -> None:
    def brightness(page: Page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    page = open_page("/", color_scheme="dark")
    assert brightness(page) < 150
    with page.expect_navigation():
        page.get_by_role("link", name="Light").click()
    assert brightness(page) > 600
    assert brightness(open_page("/")) > 600
    assert brightness(open_page("/wall?theme=dark")) < 150


def test_a_page_stays_up_to_date_and_takes_nothing_from_its_reader(place: Place, open_page: Open) -> None:
    page = open_page("/interfaces?q=worker-b00&size=500", viewport={"width": 1000, "height": 500})
    row = page.locator("tbody tr").nth(3)
    key = row.get_attribute("data-key")
    expect(row.locator(".state")).to_contain_text("as desired")
    page.evaluate("scrollTo(0, 120)")
    page.locator("summary").click()
    page.evaluate("scrollTo(0, 120)")
    field = page.get_by_label("Search", exact=True)
    field.focus()
    field.press_sequentially("x")
    before = page.evaluate("scrollY")
    page.evaluate("window.kept = document.querySelectorAll('tbody tr')[3]")
    faster(page)
    # A row that changes changes where it is.
    news = "UPDATE multinic_interface SET state = 'failed', message = 'just now' WHERE id = ?"
    write(place, news, int(key))
    expect(row.locator(".c-message")).to_have_text("just now", timeout=SOON)
    expect(row.locator(".state")).to_contain_text("failed")
    assert page.evaluate("window.kept.isConnected")
    # A row that comes is announced, and shown when the reader asks.
    rows = page.locator("tbody tr").count()
    write(
        place,
        "INSERT INTO multinic_interface (node, interface_key, name, state, since, changed) "
        "VALUES ('worker-b001', 'new', 'multinic9', 'waiting', '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
    )
    button = page.get_by_role("button", name="Rows have come or gone: 1")
    expect(button).to_be_visible(timeout=SOON)
    assert page.locator("tbody tr").count() == rows
    assert field.input_value() == "xworker-b00"
    assert page.evaluate("document.activeElement.id") == "q"
    assert page.evaluate("document.querySelector('details.choose').open")
    assert page.evaluate("scrollY") == before
    button.click()
    assert page.locator("tbody tr").count() == rows + 1
    expect(button).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "content"


def test_a_page_is_quiet_while_it_is_paused_or_hidden(place: Place, open_page: Open) -> None:
    page = open_page("/wall")
    expect(page).to_have_title(re.compile("^✕"))
    page = open_page("/nodes")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def polls(milliseconds: int = 2500) -> int:
        asked.clear()
        page.wait_for_timeout(milliseconds)
        return len(asked)

    faster(page)
    assert polls() >= 1
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(300)
    assert polls() == 0
    page.get_by_role("button", name="Go on").click()
    assert polls() >= 1
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.evaluate(SEEN)
    page.wait_for_timeout(300)
    assert polls() == 0
    page.evaluate("delete document.hidden")
    page.evaluate(SEEN)
    assert polls() >= 1


def test_the_last_rows_stay_under_a_banner_while_the_dashboard_is_away(
    place: Place, open_page: Open, tmp_path: Path
) -> None:
    url = place.fleet.database.where.replace("sqlite ", "sqlite:///")
    with dashboard(url, tmp_path) as other:
        page = open_page("/")
        page.goto(f"{other.address}/nodes")
        rows = page.locator("tbody tr").count()
        faster(page)
    banner = page.locator("#banner")
    expect(banner).to_contain_text("No news since", timeout=SOON)
    assert page.locator("tbody tr").count() == rows
    with dashboard(url, tmp_path, port=other.port):
        expect(banner).to_be_empty(timeout=SOON)


def test_everything_can_be_reached_with_the_keyboard_alone(open_page: Open) -> None:
    page = open_page("/interfaces")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("/")
    page.keyboard.type("bad-cidr")
    with page.expect_navigation(url="**/interfaces?q=bad-cidr"):
        page.keyboard.press("Enter")
    for name in (r"^\! invalid", "^State", r"^Remove the filter Search"):
        for _ in range(80):
            page.keyboard.press("Tab")
            words = page.evaluate("(at => at.ariaLabel || at.textContent.trim())(document.activeElement)")
            if re.match(name, re.sub(r"\s+", " ", words)):
                break
        else:
            pytest.fail(f"the keyboard does not reach {name}")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
        with page.expect_navigation():
            page.keyboard.press("Enter")
    assert page.url.endswith("/interfaces?state=invalid&sort=state")
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("State")


def test_times_are_in_the_zone_of_the_reader_and_a_button_copies(open_page: Open) -> None:
    page = open_page("/node?name=worker-a001", permissions=["clipboard-read", "clipboard-write"])
    written = page.locator("#as-of time")
    utc = written.get_attribute("datetime")
    hour = (int(utc[11:13]) + 9) % 24
    expect(written).to_contain_text(f"{hour:02}:{utc[14:16]}")
    page.get_by_role("button", name="Copy multinic status").click()
    expect(page.locator("#banner")).to_contain_text("multinic status: copied")
    assert page.evaluate("navigator.clipboard.readText()") == "multinic status"


def test_hostile_text_does_nothing_in_a_browser(open_page: Open) -> None:
    page = open_page("/nodes?q=<script>")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.locator("tbody a").first.click()
    expect(page.locator("h1")).to_contain_text("<script>alert(1)")
    faster(page)
    page.wait_for_timeout(1000)
    assert dialogs == []
