"""The page in a real browser: each view wide and narrow, light and dark, for eyes, keyboards and screen readers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from privatekube.client import connect
from privatekube.page.readers import Readers
from privatekube.page.sessions import Sessions
from privatekube.page.sign_in import SignIn
from tests import builders, waiting
from tests.page import sites, test_sign_in
from tests.page.sites import Served

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium; apt-get install chromium"),
]
VIEWS = {
    "overview": "/",
    "dataset": "/dataset?namespace=ns&name=reviews",
    "blocks": "/blocks",
    "block": "/blocks/ns/reviews-7-0",
    "hostile": "/blocks/ns/hostile",
    "claims": "/claims",
    "waits": "/claims/ns/later",
    "awaits approval": "/claims/ns/greedy",
    "denied": "/claims/ns/denied",
    "paid": "/claims/ns/paid",
    "forecast": "/claims/ns/later/forecast",
    "spending": "/spending",
    "teams": "/teams",
    "runs": "/runs",
    "ledger": "/ledger",
    "verification": "/ledger/verification",
    "policy": "/policy?unlock=all&order=fcfs",
    "other policy": "/policy/other?unlock=all&order=fcfs",
    "fault": "/blocks/ns/none",
}
EVERY_RULE: dict[str, object] = {}
RULES_OF_LAYOUT: dict[str, object] = {"runOnly": ["scrollable-region-focusable", "target-size"]}
LOOKS = {
    (1280, "light"): EVERY_RULE,
    (390, "light"): RULES_OF_LAYOUT,
    (390, "dark"): EVERY_RULE,
    (1280, "dark"): RULES_OF_LAYOUT,
}
"""Each width and colour scheme, and the rules of axe-core that are checked there: colours take it longest by far."""
SERIOUS = {"serious", "critical"}
AXE = Axe()
PATIENCE_MS = 1000 * waiting.PATIENCE_SECONDS
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests; as root it runs without its sandbox, on the pages of these tests alone."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=PROGRAM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def faults() -> list[str]:
    """What a page complained about, or showed in a dialog."""
    return []


def visit(browser: Browser, served: Served, faults: list[str]) -> Page:
    """Return a page that has come in with the token."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.goto(served.entrance)
    return page


def require_text(page: Page, text: str) -> None:
    """Check the content of a page, which a click may only have begun to load."""
    expect(page.locator("main")).to_contain_text(text, use_inner_text=True)


def test_each_view_fits_and_has_no_serious_finding_and_runs_no_script_of_a_user(
    browser: Browser, served: Served, faults: list[str]
) -> None:
    page = visit(browser, served, faults)
    for name, path in VIEWS.items():
        page.goto(served.base + path)
        assert page.locator("main h1").count() == 1, name
        expect(page.locator("[data-load] > a")).to_have_count(0)  # what is loaded later is there
        check_looks(page, name)
    assert [fault for fault in faults if "404" not in fault] == []  # the browser's word for the view of a fault
    page.context.close()


def check_looks(page: Page, name: str) -> None:
    """Check what is shown wide and narrow, light and dark."""
    page.evaluate(AXE.axe_script)
    for (width, scheme), rules in LOOKS.items():
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # light or dark
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        run = "options => axe.run(options).then(results => results.violations)"
        found = page.evaluate(run, rules | {"resultTypes": ["violations"]})
        serious = [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in SERIOUS]
        assert serious == [], f"{name}, {width}, {scheme}"


def test_the_dark_page_is_dark_and_the_light_one_light(browser: Browser, served: Served, faults: list[str]) -> None:
    page, shades = visit(browser, served, faults), {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        shades[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.context.close()
    assert shades == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 23, 29)"}


def test_one_click_from_the_first_page_answers_each_question(
    browser: Browser, served: Served, faults: list[str]
) -> None:
    page = visit(browser, served, faults)
    page.get_by_role("link", name="Tue 2013-01-08").first.click()
    require_text(page, "8.2 left of epsilon 10")
    page.goto(served.base)
    page.get_by_role("link", name="ns/paid").click()
    expect(page.locator("h1")).to_have_text("Claim ns/paid")
    page.goto(served.base)
    page.get_by_role("link", name="ns/later").click()
    page.get_by_text("when: after").wait_for()
    require_text(page, "lacks order 5")
    page.goto(served.base)
    page.get_by_role("link", name="reviews", exact=True).click()
    require_text(page, "the dataset runs out about")
    assert faults == []
    page.context.close()


def test_the_keyboard_reaches_the_content_and_the_cells_first_by_a_skip_link(
    browser: Browser, served: Served, faults: list[str]
) -> None:
    page = visit(browser, served, faults)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.getAttribute('aria-label') || ''"))
    assert any("Tue 2013-01-08: 8.2 of epsilon 10 (82.0%) left" in label for label in seen)
    page.context.close()


def test_an_open_page_shows_what_changes_without_a_reload(browser: Browser, tmp_path: Path, faults: list[str]) -> None:
    uri = f"sqlite:///{tmp_path}/state.db"
    with connect.connect(uri) as client, sites.serving(uri, tmp_path) as served:
        page = visit(browser, served, faults)
        require_text(page, "There are no blocks yet")
        client.create_blocks([builders.block("monday", day=6)])
        page.get_by_role("link", name="ns/monday, Mon 2013-01-07").wait_for()
        page.context.close()
    assert faults == []


def test_a_visitor_signs_in_with_the_keyboard_sees_their_store_and_signs_out(
    browser: Browser, faults: list[str]
) -> None:
    door = SignIn(Readers(test_sign_in.source, most=2), Sessions(seconds=60, most=2))
    with sites.serving_to(door) as base:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{base}/sign-in")
        check_looks(page, "the form for a token")
        page.keyboard.press("Tab")
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("token: is wrong or has expired").wait_for()
        page.get_by_label("Your token of the cluster").fill("token-of-ann")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Blocks").click()
        require_text(page, "of-ann")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Your token of the cluster").wait_for()
        page.context.close()
    assert faults == []


def test_each_picture_of_the_documents_is_taken_of_a_served_store(served: Served, tmp_path: Path) -> None:
    tool = str(ROOT / "tools" / "docs" / "page_pictures.py")
    options = ["--to", str(tmp_path), "--browser", str(PROGRAM)]
    subprocess.run([sys.executable, tool, served.entrance, *options], check=True)
    named = re.findall(r"\(pictures/([\w-]+\.png)\)", (ROOT / "docs" / "page.md").read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(named)
    assert sorted(path.name for path in (ROOT / "docs" / "pictures").iterdir()) == sorted(named)
