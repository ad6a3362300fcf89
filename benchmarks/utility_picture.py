"""The picture in docs/privacy.md: the table there of accuracies by epsilon, which `utility_table.py` made.

python benchmarks/utility_picture.py docs/utility.svg
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

PAGE = Path(__file__).resolve().parent.parent / "docs" / "privacy.md"
HEADING = "| data | model | reads | "
COLOURS = {"linear": "#0072b2", "lstm": "#d55e00", "bow": "#009e73", "feedforward": "#cc79a7"}
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "privatekube",
    "svg.fonttype": "none",
    "font.size": 9.0,
    "font.family": "sans-serif",
}


def rows(page: str) -> list[list[str]]:
    """Return the cells of the table, its heading first."""
    lines = itertools.dropwhile(lambda line: not line.startswith(HEADING), page.splitlines())
    table = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def accuracy(cell: str) -> float:
    """Return the accuracy of a cell, which a balanced one in brackets follows."""
    return float(cell.split(maxsplit=1)[0])


def draw(path: Path) -> None:
    """Write the picture, the same bytes each time."""
    heading, _, *models = rows(PAGE.read_text())
    epsilons = heading[3:-1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.subplots()
        for _, model, reads, *cells in (row for row in models if row[0] == models[0][0]):
            style = "-" if "vectors" in reads else "--"
            known = [(float(epsilon), accuracy(cell)) for epsilon, cell in zip(epsilons, cells, strict=False) if cell]
            axes.plot(*zip(*known, strict=True), style, marker="o", color=COLOURS[model], label=f"{model}, {reads}")
            if cells[-1]:
                axes.axhline(accuracy(cells[-1]), linestyle=":", linewidth=1, color=COLOURS[model])
        axes.set_xscale("log", base=10)
        axes.set_xticks([float(epsilon) for epsilon in epsilons], epsilons, minor=False)
        axes.set_xlabel("epsilon (dotted: without privacy)")
        axes.set_ylabel("accuracy")
        axes.set_title(models[0][0])
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "benchmarks/utility_picture.py"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    draw(parser.parse_args().path)
