"""The status page in a real browser, if playwright and chromium are installed."""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from monitors import FakeMonitor, row

from udpulse._states import STATES
from udpulse.monitor._http import HttpServer, serve_http
from udpulse.monitor._status import HttpConfig

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("needs chromium", allow_module_level=True)

# Not the tests' own: what a viewer must not wait for.
PATIENCE_MS = 20_000

HOSTILE = "<img src=x onerror=\"document.title='owned'\">\u202e</td><script>document.title='owned'"

# Screenshots go there, to be looked at.
PICTURES = os.environ.get("UDPULSE_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with playwright.sync_playwright() as driver:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def monitor() -> FakeMonitor:
    now = time.time()
    rows = [row(f"host {n:04}", since=now - n * 60) for n in range(990)]
    rows += [
        row(f"bad {state}", state, since=now - 120, cause="no answer for 2 min") for state in STATES
    ]
    rows += [
        row(f"sensor {n}", kind="heartbeat", p50=None, p99=None, interval=1.0, timeout=5.0)
        for n in range(20)
    ]
    rows.append(row(HOSTILE, "down", kind="heartbeat", cause=HOSTILE, since=now - 10))
    return FakeMonitor(rows)


@pytest.fixture
def server(monitor: FakeMonitor) -> Iterator[HttpServer]:
    server = serve_http(monitor, HttpConfig(port=0))
    yield server
    server.stop()


@pytest.fixture
def page(browser: "Browser", server: HttpServer) -> "Iterator[Page]":
    """A page that must load nothing from elsewhere and break no rule of its policy."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    home = "http://{}:{}/".format(*server.address)
    page.on("request", lambda request: errors.append(request.url) if other(request.url) else None)

    def other(url: str) -> bool:
        return not url.startswith((home, "data:"))

    page.goto(home)
    yield page
    assert errors == []
    page.close()


def picture(page: "Page", name: str) -> None:
    """Keep a screenshot if somebody wants to look at it."""
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))


def line(page: "Page", name: str) -> Any:
    """Return the line of a row."""
    return page.locator("tr", has=page.get_by_role("link", name=name, exact=True))


def test_a_thousand_targets_are_live(page: "Page", monitor: FakeMonitor) -> None:
    expect = playwright.expect
    expect(page.locator("#targets tbody tr")).to_have_count(1001, timeout=PATIENCE_MS)
    expect(page.locator("#clients tbody tr")).to_have_count(21)
    expect(page.locator("#link")).to_have_text("live")
    # Those that need attention come first.
    assert "bad down" in page.locator("#targets tbody tr").first.inner_text()
    picture(page, "targets")
    target = monitor.row("ping", "host 0500")
    assert target
    monitor.change(replace(target, state="down", cause="refused", since=time.time()))
    for content in ("down", "refused"):
        expect(line(page, "host 0500")).to_contain_text(content, timeout=PATIENCE_MS)
    monitor.tick()
    expect(line(page, "host 0900")).to_contain_text("0.133 ms", timeout=PATIENCE_MS)
    page.locator("#filter").fill("0500")
    expect(page.locator("#targets tbody tr")).to_have_count(1)
    picture(page, "filtered")


def test_a_name_from_the_network_is_only_text(page: "Page", monitor: FakeMonitor) -> None:
    link = page.get_by_role("link", name=HOSTILE, exact=True)
    playwright.expect(link).to_be_visible(timeout=PATIENCE_MS)
    assert page.locator("img").count() == 0
    link.click()
    playwright.expect(page.locator("#title")).to_have_text(HOSTILE, timeout=PATIENCE_MS)
    assert page.title() == f"down {HOSTILE}"
    picture(page, "hostile")


def test_a_page_of_a_target(page: "Page") -> None:
    page.get_by_role("link", name="bad suspect", exact=True).click()
    playwright.expect(page.locator("#now")).to_contain_text("suspect", timeout=PATIENCE_MS)
    assert page.locator("svg .dot").count() == 90
    assert page.locator("svg .cross").count() == 10
    assert "lasts" in page.locator("#outages").inner_text()
    picture(page, "target")


def test_a_phone_can_show_it(page: "Page") -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    playwright.expect(line(page, "bad down")).to_be_visible(timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    picture(page, "phone")
    page.get_by_role("link", name="bad down", exact=True).click()
    playwright.expect(page.locator("#now")).to_contain_text("down", timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    picture(page, "phone-target")


def test_states_differ_without_colour(page: "Page") -> None:
    playwright.expect(line(page, "bad down")).to_be_visible(timeout=PATIENCE_MS)
    marks = {line(page, f"bad {state}").locator(".state .mark").inner_text() for state in STATES}
    assert len(marks) == len(STATES)


def test_a_page_comes_back_by_itself(
    page: "Page", monitor: FakeMonitor, server: HttpServer
) -> None:
    expect = playwright.expect
    expect(page.locator("#link")).to_have_text("live", timeout=PATIENCE_MS)
    page.context.set_offline(True)
    server.stop()
    expect(page.locator("#link")).to_contain_text("not connected", timeout=PATIENCE_MS)
    picture(page, "offline")
    target = monitor.row("ping", "host 0001")
    assert target
    monitor.change(replace(target, state="down"))
    again = serve_http(monitor, HttpConfig(port=server.address[1]))
    try:
        page.context.set_offline(False)
        expect(page.locator("#link")).to_have_text("live", timeout=PATIENCE_MS)
        expect(line(page, "host 0001")).to_contain_text("down", timeout=PATIENCE_MS)
    finally:
        again.stop()
