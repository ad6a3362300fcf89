"""The published runs of a folder, side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from privatekube import errors
from privatekube.steps import documents, privacy_card
from privatekube.steps.documents import Estimate, Metrics
from privatekube.steps.privacy_card import PrivacyCard

MOST_RUNS = 100
"""How many runs are read: those whose names sort last, which are the latest."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run published.

    Args:
        folder: name of its folder.
        claim: id of its claim.
        epsilon: what its mechanisms cost together, at `delta`.
        n_blocks: on how many blocks it was committed.
        metrics: how good the model is; None if it published none of the shipped form.
        card: its privacy card; None if there is none of this version.
    """

    folder: str
    claim: str
    epsilon: float
    delta: float
    n_blocks: int
    metrics: Metrics | None
    card: PrivacyCard | None

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings of its pipeline in words, by name."""
        settings = {} if self.card is None else self.card.run.hyperparameters.settings
        return {name: f"{value}" for name, value in settings.items()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side.

    Args:
        runs: what is compared.
        differing: the settings that are not the same in all runs: the name, then the value of each run.
        classes: the classes of which a run published the accuracy: the name, then the estimate of each run.
    """

    runs: tuple[Run, ...]
    differing: tuple[tuple[str, tuple[str, ...]], ...]
    classes: tuple[tuple[str, tuple[Estimate | None, ...]], ...]


def published(results: Path) -> list[Run]:
    """Return the runs that published into a folder, the latest first; what cannot be read is left out."""
    with contextlib.suppress(OSError):
        folders = [path for path in results.iterdir() if path.is_dir() and not path.is_symlink()]
        latest = sorted(folders, reverse=True)[:MOST_RUNS]
        return [run for folder in latest if (run := read(folder)) is not None]
    return []


def read(folder: Path) -> Run | None:
    """Return the run that published into a folder of its own; None if there is no receipt that can be read."""
    try:
        receipt = documents.read(documents.Receipt, folder / "receipt.json")
    except errors.PrivateKubeError:
        return None
    metrics = card = None
    with contextlib.suppress(errors.PrivateKubeError):
        metrics = documents.read(Metrics, folder / "metrics.json")
    with contextlib.suppress(errors.PrivateKubeError, OSError):
        card = privacy_card.decode((folder / privacy_card.FILE).read_bytes())
    return Run(folder.name, receipt.claim, receipt.epsilon, receipt.delta, len(receipt.committed), metrics, card)


def compare(runs: Sequence[Run]) -> Comparison:
    """Return runs side by side, with the settings in which they differ."""
    names = _union(run.settings for run in runs)
    rows = [(name, tuple(run.settings.get(name, "not stated") for run in runs)) for name in names]
    per_class = [(run.metrics.per_class or {}) if run.metrics else {} for run in runs]
    classes = [(name, tuple(estimates.get(name) for estimates in per_class)) for name in _union(per_class)]
    return Comparison(tuple(runs), tuple(row for row in rows if len(set(row[1])) > 1), tuple(classes))


def _union(mappings: Iterable[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))
