"""A griffe extension: show the doctests of docstrings as code, which Markdown would read as quotations."""

from __future__ import annotations

from typing import Any

import griffe

PROMPT = ">>>"


def fence_doctests(docstring: str) -> str:
    """Return a docstring with each doctest, up to the next blank line, in a fence.

    >>> "```pycon" in fence_doctests("Add two numbers: here >>> is not a prompt.")
    False
    """
    lines: list[str] = []
    indent: str | None = None
    for line in [*docstring.splitlines(), ""]:
        code = line.lstrip()
        if indent is None and code.startswith(PROMPT):
            indent = line[: len(line) - len(code)]
            lines.append(f"{indent}```pycon")
        elif indent is not None and not code:
            lines.append(f"{indent}```")
            indent = None
        lines.append(line)
    return "\n".join(lines).rstrip()


class DoctestBlocks(griffe.Extension):
    """Fences the doctests of every docstring that griffe reads."""

    def on_object(self, *, obj: griffe.Object, **_options: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = fence_doctests(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_options: Any) -> None:
        """Change the docstring of the root package, which griffe does not report as an object."""
        if pkg.docstring is not None and "```" not in pkg.docstring.value:
            pkg.docstring.value = fence_doctests(pkg.docstring.value)
