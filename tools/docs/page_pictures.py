"""Take the pictures of docs/page.md: `python tools/docs/page_pictures.py ADDRESS`, as privatekube serve printed it.

It needs Chromium or Chrome, and a store with the block of Tue 2013-01-08 and a claim that waits, such as that of
`make demo`.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
COLOURS = 255
HEIGHT, LOWER = 780, 560
VIEWS = {
    "Blocks": "blocks",
    "Claims": "claims",
    "Who spent": "spending",
    "Teams": "teams",
    "Runs": "runs",
    "Ledger": "ledger",
}
"""The views of which a picture is taken as they are: the link, and the name of the picture."""


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="with its token")
    parser.add_argument("--to", type=Path, default=FOLDER, help="the folder of the pictures")
    parser.add_argument("--browser", default="chromium", help="the program")
    options = parser.parse_args()
    options.to.mkdir(exist_ok=True)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which(options.browser), args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": HEIGHT}, color_scheme="light")
        page.goto(options.address)
        take(page, options.to / "overview.png")
        walk(page, options.to)
        page.set_viewport_size({"width": 390, "height": HEIGHT})
        page.emulate_media(color_scheme="dark")
        page.get_by_role("link", name="Overview").click()
        take(page, options.to / "overview-narrow-dark.png")
        browser.close()


def walk(page: Page, folder: Path) -> None:
    """Take the pictures of the other views, each a click or two from the first page."""
    first = page.url
    for link, name, awaited in (
        (page.get_by_role("link", name="Tue 2013-01-08"), "block", "Who spent what"),
        (page.get_by_role("heading", level=2).get_by_role("link"), "dataset", "Blocks, those with least first"),
        (page.locator("[aria-labelledby=waiting] a"), "claim", "when:"),
    ):
        page.goto(first)
        link.first.click()
        page.get_by_text(awaited).first.wait_for()
        take(page, folder / f"{name}.png", height=LOWER if name == "block" else HEIGHT)
    for view, name in VIEWS.items():
        page.get_by_role("link", name=view, exact=True).click()
        take(page, folder / f"{name}.png", height=LOWER)
    page.get_by_role("link", name="Policy", exact=True).click()
    page.get_by_label("How budget unlocks").fill("n=10")
    page.get_by_role("button", name="Replay").click()
    page.get_by_text("claims would be granted").wait_for()
    take(page, folder / "policy.png")


def take(page: Page, path: Path, height: int = HEIGHT) -> None:
    """Write a picture of what is shown, in few colours."""
    width = (page.viewport_size or {"width": 1280})["width"]
    picture = Image.open(io.BytesIO(page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height})))
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
