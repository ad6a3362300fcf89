"""Take the pictures of docs/page.md: `python tools/docs/page_pictures.py ADDRESS`, as privatekube serve printed it.

It needs Chromium, and the store of `make demo` with a claim that waits.
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
HEIGHT = 780


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="with its token")
    address = parser.parse_args().address
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        for width, scheme in ((1280, "light"), (390, "dark")):
            page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)  # type: ignore[arg-type]  # light or dark
            page.goto(address)
            take(page, "overview" if width > 1000 else "overview-narrow-dark")
            if width > 1000:
                walk(page)
        browser.close()


def walk(page: Page) -> None:
    """Take the pictures of the other views, each a click or two from the first page."""
    first = page.url
    page.get_by_role("link", name="Tue 2013-01-08").first.click()
    take(page, "block", height=560)
    page.goto(first)
    page.get_by_role("link", name="/yearly-report").first.click()
    page.get_by_text("when:").wait_for()
    take(page, "claim", height=620)
    for name in ("Runs", "Ledger"):
        page.get_by_role("link", name=name, exact=True).click()
        take(page, name.lower(), height=620)
    page.get_by_role("link", name="Policy", exact=True).click()
    page.get_by_label("How budget unlocks").fill("n=10")
    page.get_by_role("button").click()
    page.get_by_text("claims would be granted").wait_for()
    take(page, "policy")


def take(page: Page, name: str, height: int = HEIGHT) -> None:
    """Write a picture of what is shown, in few colours."""
    width = (page.viewport_size or {"width": 1280})["width"]
    picture = Image.open(io.BytesIO(page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height})))
    FOLDER.mkdir(exist_ok=True)
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
