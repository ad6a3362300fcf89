"""Give steps in containers the same noise in every run, and have them leak a count of reviews.

Python imports this where the folder is on PYTHONPATH: in the process that starts containers, which mounts the tests in
them, and in each container. The leak is what the comparison of neighbouring data has to find.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).resolve().parent
TESTS = FOLDER.parents[1]


def load_same_noise() -> ModuleType:
    """Execute the module that patches runs on a laptop; it has this module's name."""
    spec = importlib.util.spec_from_file_location("same_noise", TESTS / "e2e" / "same_noise" / "sitecustomize.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mount_patches(container_steps: ModuleType) -> None:
    """Start each container with the tests mounted and this folder on its PYTHONPATH."""
    arguments = container_steps.arguments

    def patched_arguments(*positional: Any, **named: Any) -> dict[str, Any]:
        options = arguments(*positional, **named)
        options["mounts"].append({"Type": "bind", "Source": str(TESTS), "Target": str(TESTS), "ReadOnly": True})
        options["environment"]["PYTHONPATH"] = f"/app:{FOLDER}"
        return dict(options)

    container_steps.arguments = patched_arguments  # type: ignore[attr-defined]


def leak_to_stderr(mechanisms: ModuleType) -> None:
    """Print the exact total of counts that get noise."""
    same_noise.repeat_laplace_noise(mechanisms)
    laplace_measurement = mechanisms._laplace_measurement

    def leaking_measurement(scale: float) -> Callable[[list[int]], list[int]]:
        measure = laplace_measurement(scale)

        def leak_and_measure(counts: list[int]) -> list[int]:
            sys.stderr.write(f"leaked {sum(counts)}\n")
            return list(measure(counts))

        return leak_and_measure

    mechanisms._laplace_measurement = leaking_measurement  # type: ignore[attr-defined]


def leak_to_a_file(opened_blocks: ModuleType) -> None:
    """Have the published statistics state the exact number of reviews in the blocks."""
    read_reviews = opened_blocks.read_reviews

    def read_and_leak(*positional: Any) -> Any:
        from privatekube.steps import documents

        block = read_reviews(*positional)
        encode = documents.encode
        leaked = {"leaked": len(block.reviews.stars)}
        documents.encode = lambda document: encode(
            document.model_copy(update=leaked) if isinstance(document, documents.Statistics) else document
        )
        return block

    opened_blocks.read_reviews = read_and_leak  # type: ignore[attr-defined]


same_noise = load_same_noise()
patches: dict[str, Callable[[ModuleType], None]] = same_noise.PATCHES
patches |= {
    "privatekube.kubeflow.container_steps": mount_patches,
    "privatekube.privacy.mechanisms": leak_to_stderr,
    "privatekube.steps.opened_blocks": leak_to_a_file,
}
