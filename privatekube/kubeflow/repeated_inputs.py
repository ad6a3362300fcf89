"""Inputs of a component that a graph passes several times: KFP knows no list of artifacts of different tasks.

The program takes `--spend PATH` once for each file, and its component.yaml has one input `spend`. A graph with two such
files loads the component with an input for each, `spend_a` and `spend_b`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from privatekube import errors

Document = dict[str, Any]


def repeat(document: Document, name: str, endings: Sequence[str]) -> Document:
    """Return the component.yaml `document` with the input `name` once for each ending, as `name_ending`.

    Args:
        document: as it is read.
        name: of an input that is a file.
        endings: what tells the inputs apart, in the order in which the program gets them.

    Raises:
        InvalidInput: it has no such input.
    """
    container = document.get("implementation", {}).get("container", {})
    given = {"inputPath": name}
    if given not in container.get("args", []):
        raise errors.invalid("input", name, "is not a file that the component reads", "correct component.yaml")
    inputs: list[Any] = []
    for entry in document["inputs"]:
        inputs += [{**entry, "name": f"{name}_{end}"} for end in endings] if entry["name"] == name else [entry]
    position = container["args"].index(given) - 1
    flag = container["args"][position]
    repeated = [word for end in endings for word in (flag, {"inputPath": f"{name}_{end}"})]
    args = [*container["args"][:position], *repeated, *container["args"][position + 2 :]]
    implementation = {**document["implementation"], "container": {**container, "args": args}}
    return {**document, "inputs": inputs, "implementation": implementation}
