"""Give every run of a test the same noise: Python imports this where the folder is on PYTHONPATH, and nowhere else.

The streams depend on nothing but the number of draws before, so that two runs over neighbouring data differ by the data
alone. Keys, names of runs and times stay as they are. A local run also leaves a copy of the artifacts that it has at
its end.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import shutil
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any


def repeat_laplace_noise(mechanisms: ModuleType) -> None:
    """Draw the noise of counts from a generator that is seeded by the scale."""

    def laplace_measurement(scale: float) -> Callable[[list[int]], list[int]]:
        import numpy as np

        noise = np.random.default_rng(round(1e6 * scale))
        return lambda counts: [count + round(noise.laplace(scale=scale)) for count in counts]

    mechanisms._laplace_measurement = laplace_measurement  # type: ignore[attr-defined]


def repeat_training_noise(randomness: ModuleType) -> None:
    """Seed each draw by its number: a draw of n + 1 words begins with the n of a draw over one unit less."""

    def words(self: Any, count: int) -> Any:
        import numpy as np

        self.draws = getattr(self, "draws", 0) + 1
        return np.random.default_rng(self.draws).integers(2**64, size=count, dtype=np.uint64)

    randomness.SecureGenerator._words = words


def keep_artifacts(run_folder: ModuleType) -> None:
    """Copy the artifacts of a run to `artifacts`, below the current folder, before its own folder is removed."""
    remove = run_folder.RunFolder.remove

    def keep_and_remove(self: Any) -> None:
        shutil.copytree(self.work / run_folder.STEPS, "artifacts")
        remove(self)

    run_folder.RunFolder.remove = keep_and_remove


PATCHES = {
    "privatekube.kubeflow.run_folder": keep_artifacts,
    "privatekube.privacy.mechanisms": repeat_laplace_noise,
    "privatekube.training.randomness": repeat_training_noise,
}


class PatchingLoader(importlib.abc.Loader):
    """Executes a module as its own loader does, then patches it."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self.loader = loader

    def exec_module(self, module: ModuleType) -> None:
        """Execute and patch the module."""
        self.loader.exec_module(module)
        PATCHES[module.__name__](module)


class PatchingFinder(importlib.abc.MetaPathFinder):
    """Finds the modules to patch where Python finds them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module to patch, None for any other."""
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name in PATCHES else None
        if spec is not None and spec.loader is not None:
            spec.loader = PatchingLoader(spec.loader)
        return spec


sys.meta_path.insert(0, PatchingFinder())
