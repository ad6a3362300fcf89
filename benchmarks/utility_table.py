"""The table in docs/privacy.md: accuracies by epsilon, from the trainings that `utility.py` appended to a file.

    python benchmarks/utility_table.py cells.jsonl

Prints a row for each source, task, model and what it reads; a cell is the mean accuracy of its seeds and, in brackets,
the mean balanced accuracy. What was not run is empty. The last line says how far seeds of one cell are apart at most.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

from utility import EPSILONS, Cell, done

Row = tuple[str, str, str, str]
REPORTED_FIRST = ("real", "product")


def rows(cells: Sequence[Cell]) -> Mapping[Row, Mapping[str, list[Cell]]]:
    """Return the cells of each row by epsilon, in the order in which rows occur first."""
    found: dict[Row, dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        reads = "words" if cell.embeddings == "none" else "vectors"
        found[cell.data, cell.task, cell.model, reads][cell.epsilon].append(cell)
    return found


def figures(cells: Sequence[Cell]) -> str:
    """Return the accuracy of one cell of the table, without zeros before the point; empty if it was not run."""
    if not cells:
        return ""
    accuracy, balanced = mean(cell.accuracy for cell in cells), mean(cell.balanced for cell in cells)
    return f"{accuracy:.3f} ({balanced:.3f})".replace("0.", ".")


def lines(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"| data | model | reads | {' | '.join(epsilon.lstrip('0') for epsilon in EPSILONS)} |"
    yield "|" + "---|" * (3 + len(EPSILONS))
    of = rows(cells)
    order = sorted(of, key=lambda row: (row[:2] != REPORTED_FIRST, *row[:2], row[3] == "words"))
    for data, task, model, reads in order:
        shown = " | ".join(figures(of[data, task, model, reads].get(epsilon, [])) for epsilon in EPSILONS)
        yield f"| {data}, {task} | {model} | {reads} | {shown} |"


def range_of_seeds(cells: Sequence[Cell]) -> float:
    """Return the largest difference in accuracy between seeds of one cell."""
    together = [seeds for row in rows(cells).values() for seeds in row.values()]
    return max(max(each.accuracy for each in seeds) - min(each.accuracy for each in seeds) for seeds in together)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="the file of utility.py --out")
    cells = [cell for cell in done(parser.parse_args().path).values() if cell.tested_on == "test"]
    if not cells:
        parser.error("the file has no training that was tested on the test users: run benchmarks/utility.py --out FILE")
    print("\n".join(lines(cells)))
    print(f"\nSeeds of a cell are {range_of_seeds(cells):.3f} apart at most.")


if __name__ == "__main__":
    main()
