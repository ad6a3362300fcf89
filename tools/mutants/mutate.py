"""Run the tests on a sample of small defects, and print which of them no test noticed.

    make mutants                      # or: make mutants MUTANTS='--sample 20 --seed 3 --minutes 10'

The defects are cosmic-ray's, and calls left out. Each is made in a copy of the repository; the tests run there.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from parso.python import tree

ROOT = Path(__file__).resolve().parents[2]
TESTS = {
    "privatekube/privacy": ("tests/privacy", "tests/components"),
    "privatekube/training": ("tests/training", "tests/components"),
    "privatekube/steps": ("tests/steps", "tests/components"),
    "components": ("tests/components",),
}
"""The folders whose code gets defects, and the tests that should notice."""

TEST_SECONDS = 600
"""How long the tests of one defect may take; a defect that makes them slower is noticed."""

Place = tuple[int, int]


class LeaveOutCall(Operator):  # type: ignore[misc]  # cosmic-ray has no types
    """Replace a statement that only calls something, for example a check, by `pass`."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Place, Place]]:
        """Generate the place of the node if it is such a statement."""
        is_statement = node.parent is not None and node.parent.type == "simple_stmt"
        if is_statement and node.type == "atom_expr" and node.children[-1].type == "trailer":
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ARG002 - as cosmic-ray calls it
        """Return `pass` in place of the node."""
        return tree.Keyword("pass", node.start_pos, node.get_first_leaf().prefix)

    @classmethod
    def examples(cls) -> Sequence[Any]:
        """Return no examples: cosmic-ray shows them in its own documentation."""
        return ()


@dataclass(frozen=True)
class Mutant:
    """A defect of one module.

    Args:
        path: of the module in the repository.
        name: what was done: the operator's.
        place: line and column.
        before, after: the text of the module without and with the defect.
    """

    path: Path
    name: str
    place: Place
    before: str
    after: str

    def __str__(self) -> str:
        """Return where the defect is, and what it does."""
        return f"{self.path}:{self.place[0]} {self.name}"

    def diff(self) -> str:
        """Return the changed lines, as a diff without its header."""
        lines = difflib.unified_diff(self.before.split("\n"), self.after.split("\n"), n=0, lineterm="")
        return "\n".join(f"    {line}" for line in list(lines)[3:])


def main() -> int:
    """Run the command line; the exit status is 1 if the tests fail without any defect."""
    parser = argparse.ArgumentParser(description="Run the tests on a sample of small defects.")
    parser.add_argument("--python", default=str(ROOT / ".venv" / "bin" / "python"), help="runs the tests")
    parser.add_argument("--sample", type=int, default=100, help="how many places get a defect")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--minutes", type=float, default=60, help="no defect is begun after that time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_repository(Path(folder))
        mutants = sample(copy, options.sample, options.seed)
        if not run_tests(copy, options.python, sorted(set(itertools.chain(*TESTS.values()))), timeout_seconds=3600):
            print("the tests fail without any defect: make them pass first")
            return 1
        end = time.monotonic() + 60 * options.minutes
        report(list(noticed(copy, options.python, mutants, end=end)), mutants)
    return 0


def sample(copy: Path, count: int, seed: int) -> list[Mutant]:
    """Return one defect for each of `count` places chosen at random, in random order."""
    chance = random.Random(seed)  # noqa: S311 - chooses places, protects nothing
    by_place: dict[tuple[Path, Place], list[tuple[Any, int]]] = {}
    for folder in TESTS:
        for path in sorted((copy / folder).rglob("*.py")):
            for place, choice in choices(path.read_text()):
                by_place.setdefault((path.relative_to(copy), place), []).append(choice)
    places = sorted(by_place)
    chance.shuffle(places)
    made = (mutant(copy, path, place, *chance.choice(by_place[path, place])) for path, place in places)
    chosen = list(itertools.islice(filter(None, made), count))
    print(f"{len(places)} places; {len(chosen)} of them get a defect, seed {seed}", flush=True)
    return chosen


def choices(text: str) -> Iterator[tuple[Place, tuple[Any, int]]]:
    """Generate the places of a module that operators apply to, each with the operator and its count there."""
    lines = text.split("\n")
    nodes, kept = list(ast_nodes(get_ast(text))), list(spans_without_behaviour(ast.parse(text)))
    for operator in operators():
        places = (span for node in nodes for span in operator.mutation_positions(node))
        for occurrence, (start, end) in enumerate(places):
            is_signature = lines[start[0] - 1][start[1] :].startswith("*,")
            if not is_signature and not any(first <= start and end <= last for first, last in kept):
                yield start, (operator, occurrence)


def mutant(copy: Path, path: Path, place: Place, operator: Any, occurrence: int) -> Mutant | None:
    """Return the defect, or None if the result is not Python."""
    before = (copy / path).read_text()
    after = mutate_code(before, operator, occurrence)
    try:
        with warnings.catch_warnings(action="error"):
            compile(after, str(path), "exec")
    except SyntaxError:
        return None
    return Mutant(path, type(operator).__name__, place, before, after)


def operators() -> Iterator[Any]:
    """Generate the operators: those of cosmic-ray that need no argument, and our own.

    Without its NoOp, and without its ExceptionReplacer, which fails on a name with a dot.
    """
    for name in cosmic_ray.plugins.operator_names():
        operator = cosmic_ray.plugins.get_operator(name)
        if not operator.arguments() and not name.endswith(("/NoOp", "/ExceptionReplacer")):
            yield operator()
    yield LeaveOutCall()


def spans_without_behaviour(module: ast.Module) -> Iterator[tuple[Place, Place]]:
    """Generate start and end of what gets no defect: annotations, decorators, and the test for the main program."""
    for node in ast.walk(module):
        parts = [
            getattr(node, "annotation", None),
            getattr(node, "returns", None),
            *getattr(node, "decorator_list", []),
        ]
        if isinstance(node, ast.If) and "__main__" in ast.dump(node.test):
            parts.append(node.test)
        for part in parts:
            if isinstance(part, ast.expr):
                yield (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)


def copy_repository(folder: Path) -> Path:
    """Copy the files of the working tree that git knows, and return where they are."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607 - git of this machine
    for name in filter(None, listed.stdout.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return folder


def noticed(copy: Path, python: str, mutants: Iterable[Mutant], *, end: float) -> Iterator[bool]:
    """Generate for each defect, until the time `end`, whether a test noticed it."""
    for mutant in mutants:
        if time.monotonic() > end:
            return
        tests = next(tests for folder, tests in TESTS.items() if mutant.path.is_relative_to(folder))
        (copy / mutant.path).write_text(mutant.after)
        survived = passes(copy, python, tests, first=mutant.path)
        (copy / mutant.path).write_text(mutant.before)
        print("SURVIVED" if survived else "noticed ", mutant, flush=True)
        yield not survived


def passes(copy: Path, python: str, tests: Sequence[str], *, first: Path | None = None) -> bool:
    """Whether all tests in `tests` pass, those of the module `first` before the others and slow ones last."""
    mirror = [str(path) for path in (copy / "tests").rglob(f"test_{first.stem}.py")] if first else []
    rounds = (mirror, [*tests, "-m", "not slow"], [*tests, "-m", "slow"])
    return all(run_tests(copy, python, options) for options in rounds if options)


def run_tests(copy: Path, python: str, options: Sequence[str], *, timeout_seconds: float = TEST_SECONDS) -> bool:
    """Whether pytest succeeds in time; a run without any test counts as a success."""
    command = [python, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - the tests of this repository
            command, cwd=copy, env=environment, capture_output=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode in (0, 5)


def report(results: Sequence[bool], mutants: Sequence[Mutant]) -> None:
    """Print the score and the defects that no test noticed."""
    survivors = [mutant for mutant, was_noticed in zip(mutants, results, strict=False) if not was_noticed]
    share = sum(results) / max(1, len(results))
    print(f"\n{sum(results)} of {len(results)} defects were noticed: {share:.0%}; {len(mutants)} were sampled")
    for mutant in survivors:
        print(f"{mutant}\n{mutant.diff()}")


if __name__ == "__main__":
    sys.exit(main())
