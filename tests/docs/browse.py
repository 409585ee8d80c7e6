"""The built site in headless Chromium, as a reader has it: `make browse`.

Every page of the navigation is opened at the width of a desk and of a phone. With `SCREENSHOTS` set
to a folder, a picture of each is left there.
"""

import functools
import http.server
import os
import re
import shutil
import threading
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.docs import pages
from tests.places import ROOT

SITE = ROOT / "site"
WIDTHS = {"desk": 1280, "phone": 390}
COLUMNS = 100
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
LEFTOVERS = re.compile(r"\\\(|\\\[|\$\$|--8<--|<!-- generated|\]\[fpdm|:::")
"""What stands in a source, and in no page that was built as it should be."""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def address():
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    assert CHROMIUM, "make browse needs Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(params=WIDTHS)
def tab(request, browser: Browser):
    """A page of the browser that notes whatever goes wrong in it."""
    tab = browser.new_page(viewport={"width": WIDTHS[request.param], "height": 900})
    tab.wrong = []
    tab.on("console", lambda said: tab.wrong.append(said.text) if said.type == "error" else None)
    tab.on("pageerror", lambda error: tab.wrong.append(str(error)))
    tab.on("requestfailed", lambda request: tab.wrong.append(request.url))
    tab.on("response", lambda got: tab.wrong.append(got.url) if got.status >= 400 else None)
    yield tab
    tab.close()


def longest(code: str) -> int:
    return max(map(len, code.splitlines()))


def url(page: Path) -> str:
    path = page.relative_to(pages.DOCS).with_suffix("").as_posix()
    return "/" if path == "index" else f"/{path}/"


@pytest.mark.parametrize("page", list(pages.navigation()), ids=pages.name)
def test_every_page_loads_and_shows_what_it_has(page, tab: Page, address):
    tab.goto(address + url(page), wait_until="networkidle")
    text = tab.inner_text("article")
    assert len(text) > 200
    without_code = tab.evaluate(
        "() => { const copy = document.querySelector('article').cloneNode(true);"
        "copy.querySelectorAll('pre, code').forEach(one => one.remove()); return copy.innerText }"
    )
    assert not LEFTOVERS.search(without_code), LEFTOVERS.search(without_code)
    overflow = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0, f"{overflow} pixels wider than the window"
    for image in tab.locator("article img").all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("one => one.complete && one.naturalWidth > 0 && one.clientWidth > 0")
    for formula in tab.locator("article math").all():
        box = formula.evaluate("one => one.getBoundingClientRect().toJSON()")
        assert box["width"] > 3
        assert box["height"] > 5
    if tab.viewport_size["width"] == WIDTHS["desk"]:
        for block in tab.locator("article pre > code").all():
            cut = block.evaluate("one => one.scrollWidth - one.clientWidth")
            assert cut <= 0 or longest(block.inner_text()) > COLUMNS, f"{cut} pixels are cut off"
    if "SCREENSHOTS" in os.environ:
        tab.evaluate("window.scrollTo(0, 0)")
        folder = Path(os.environ["SCREENSHOTS"])
        name = pages.name(page).removeprefix("docs/").replace("/", "-").removesuffix(".md")
        tab.screenshot(path=folder / f"{name}-{tab.viewport_size['width']}.png", full_page=True)
    assert tab.wrong == []


def test_search_finds_anderson(tab: Page, address):
    tab.goto(address, wait_until="networkidle")
    if tab.viewport_size["width"] < 1000:
        tab.click("label.md-header__button[for=__search]")
    tab.locator("input.md-search__input").press_sequentially("Anderson")
    found = tab.locator(".md-search-result__item")
    expect(found.first).to_be_visible()
    assert any("solver" in link.get_attribute("href") for link in found.locator("a").all())
    assert tab.wrong == []


def test_the_dark_side_can_be_chosen(tab: Page, address):
    tab.goto(address, wait_until="networkidle")
    assert tab.get_attribute("body", "data-md-color-scheme") == "default"
    tab.locator("form[data-md-component=palette] label:not([hidden])").click()
    assert tab.get_attribute("body", "data-md-color-scheme") == "slate"
