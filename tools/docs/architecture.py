"""Draw docs/architecture.svg: the import layers of pyproject.toml, each package with its purpose.

`python tools/docs/architecture.py` writes the picture; with `--check` it only says whether the picture is up to date.
The rows are the layers of two import contracts, so the picture cannot show an arrangement that import-linter does not
prove. The words are the first clause of each package's docstring.
"""

from __future__ import annotations

import argparse
import ast
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "architecture.svg"
LIBRARY = "privatekube"
HALVES, LAYERS = "The project imports the library, never the other way round", "The library's layers"

WIDTH, MARGIN, GAP = 800, 12, 8
TITLE_HEIGHT, NAME_HEIGHT, LINE_HEIGHT, PADDING = 34, 18, 14, 8
PIXELS_PER_CHARACTER = 6.6  # of the purpose's font, on average
STYLE = """
    text { font-family: system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #1f2933 }
    .title { font-size: 14px; font-weight: 600 }
    .rule { font-size: 12px; fill: #52606d }
    .name { font-size: 13px; font-weight: 600; font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace }
    .purpose { font-size: 11px; fill: #3e4c59 }
    .half { fill: #e4e7eb; stroke: #9aa5b1 }
    .box { fill: #ffffff; stroke: #9aa5b1 }
"""


@dataclass(frozen=True)
class Box:
    """One package or module in the picture.

    Args:
        name: as a reader sees it in the repository.
        purpose: the first clause of its docstring.
    """

    name: str
    purpose: str

    def lines(self, width: float) -> list[str]:
        """Return the purpose, broken into lines that fit a box of `width` pixels."""
        return textwrap.wrap(self.purpose, int((width - 2 * PADDING) / PIXELS_PER_CHARACTER), break_on_hyphens=False)


def purpose(source: Path) -> str:
    """Return the first clause of the docstring of a Python file."""
    docstring = ast.get_docstring(ast.parse(source.read_text())) or ""
    sentence = " ".join(docstring.partition("\n\n")[0].split()).replace("`", "")
    for end in (": ", "; ", ". "):
        sentence = sentence.partition(end)[0]
    return sentence.removesuffix(".")


def box(name: str, folder: Path) -> Box:
    """Return the box of the package or module `name` in `folder`."""
    package = folder / name / "__init__.py"
    if package.exists():
        return Box(f"{name}/", purpose(package))
    return Box(f"{name}.py", purpose(folder / f"{name}.py"))


def layers(contract: str) -> list[list[str]]:
    """Return the names in each layer of a contract in pyproject.toml, from the top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (entry,) = [entry for entry in contracts if entry["name"] == contract]
    return [[name.strip() for name in layer.split("|")] for layer in entry["layers"]]


def halves() -> Iterator[tuple[str, str, list[list[Box]]]]:
    """Return the title, the import rule and the rows of the project's half, then of the library's."""
    scripts = [Box(script.name, purpose(script)) for script in sorted(ROOT.glob("*.py"))]
    project = [[box(name, ROOT) for name in row] for row in layers(HALVES) if row != [LIBRARY]]
    yield "This project", "imports the library, which imports nothing of the project", [scripts, *project]
    rows = [[box(name, ROOT / LIBRARY) for name in row] for row in layers(LAYERS)]
    yield f"{LIBRARY}/, the library", "a package imports only from the rows below its own", rows


def draw_row(boxes: list[Box], top: float) -> tuple[list[str], float]:
    """Return the SVG of one row of equally wide boxes, and its height."""
    width = (WIDTH - 4 * MARGIN - (len(boxes) - 1) * GAP) / len(boxes)
    texts = [entry.lines(width) for entry in boxes]
    height = 2 * PADDING + NAME_HEIGHT + LINE_HEIGHT * max(len(lines) for lines in texts)
    parts = []
    for place, (entry, lines) in enumerate(zip(boxes, texts, strict=True)):
        left = 2 * MARGIN + place * (width + GAP)
        parts.append(f'<rect class="box" x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="4"/>')
        baseline = top + PADDING + 11
        parts.append(f'<text class="name" x="{left + PADDING:g}" y="{baseline:g}">{escape(entry.name)}</text>')
        for number, line in enumerate(lines):
            y = baseline + NAME_HEIGHT + LINE_HEIGHT * number
            parts.append(f'<text class="purpose" x="{left + PADDING:g}" y="{y:g}">{escape(line)}</text>')
    return parts, height


def draw_half(title: str, rule: str, rows: list[list[Box]], top: float) -> tuple[list[str], float]:
    """Return the SVG of one half, its title and its rows on a panel, and its height."""
    parts, height = [], float(TITLE_HEIGHT)
    for row in rows:
        elements, row_height = draw_row(row, top + height)
        parts += elements
        height += row_height + GAP
    height += MARGIN - GAP
    panel = f'<rect class="half" x="{MARGIN}" y="{top:g}" width="{WIDTH - 2 * MARGIN}" height="{height:g}" rx="6"/>'
    heading = f'<text class="title" x="{2 * MARGIN}" y="{top + 22:g}">{escape(title)}</text>'
    note = f'<text class="rule" x="{WIDTH - 2 * MARGIN}" y="{top + 22:g}" text-anchor="end">{escape(rule)}</text>'
    return [panel, heading, note, *parts], height


def picture() -> str:
    """Return the whole picture as SVG text."""
    parts, top = [], float(MARGIN)
    for title, rule, rows in halves():
        elements, height = draw_half(title, rule, rows, top)
        parts += elements
        top += height + MARGIN
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:g}" width="{WIDTH}" height="{top:g}"'
    label = ' role="img" aria-label="Packages of the project and of the library, in layers">'
    return "\n".join([f"{opening}{label}", f"  <style>{STYLE}  </style>", *[f"  {part}" for part in parts], "</svg>\n"])


def main() -> int:
    """Write the picture, or check it."""
    parser = argparse.ArgumentParser(description="Draw docs/architecture.svg from the import contracts.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the picture is out of date")
    options = parser.parse_args()
    svg = picture()
    if not options.check:
        PICTURE.write_text(svg)
        return 0
    if PICTURE.exists() and PICTURE.read_text() == svg:
        return 0
    sys.stderr.write("docs/architecture.svg is out of date; run: python tools/docs/architecture.py\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
