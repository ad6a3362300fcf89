"""What is left of each dataset, as gauges: a store of very many blocks has as few of them as it has datasets."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import conditions, remaining, summary
from privatekube.resources.block import PrivateDataBlock

MOST_DATASETS = 200
"""How many datasets have gauges of their own, by namespace and name; the others are one of an empty name."""
_LABELS = ("namespace", "dataset")
_HELP = {
    "blocks": "Admitted blocks.",
    "nearly_exhausted_blocks": "Blocks of which a threshold is committed.",
    "exhausted_blocks": "Blocks of which nothing is left to grant.",
    "delta": "The largest delta at which the lifetime of one of its blocks is stated.",
    "epsilon_left": "Epsilon at that delta that was not granted yet, as the mean of its blocks.",
    "least_epsilon_left": "The same of the block of which least is left.",
    "delta_left": "Delta that was not granted yet, as the mean of its blocks; a Renyi budget has none.",
    "committed_ratio": "The committed part of the initial budget, as the mean of its blocks.",
    "most_committed_ratio": "The same of the block of which most is committed.",
}


@dataclass(frozen=True, slots=True)
class _Share:
    """What a block adds to the gauges of its dataset; computed again when the block changes."""

    block: PrivateDataBlock
    epsilon: float
    delta: float
    delta_left: float | None
    committed: float
    is_nearly_exhausted: bool
    is_exhausted: bool


class DatasetBudgets(Collector):
    """Gauges that are computed at each scrape.

    Args:
        blocks: returns the current blocks.
    """

    def __init__(self, blocks: Callable[[], Sequence[PrivateDataBlock]]) -> None:
        self._blocks = blocks
        self._shares: Mapping[str, _Share] = {}

    def collect(self) -> Iterable[Metric]:
        """Compute the gauges."""
        known, shares = self._shares, {}
        for block in self._blocks():
            if block.status is not None:
                share = known.get(block.id)
                shares[block.id] = _share(block) if share is None or share.block is not block else share
        self._shares = shares
        families = {
            name: GaugeMetricFamily(f"privatekube_dataset_{name}", _HELP[name], labels=_LABELS) for name in _HELP
        }
        for labels, members in _by_dataset(shares.values()).items():
            for name, value in _gauges(members):
                families[name].add_metric(labels, value)
        return families.values()

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the caches are empty when this is registered."""
        return []


def _by_dataset(shares: Iterable[_Share]) -> dict[tuple[str, str], list[_Share]]:
    groups: dict[tuple[str, str], list[_Share]] = {}
    for share in shares:
        groups.setdefault((share.block.meta.namespace, share.block.spec.dataset), []).append(share)
    named, others = sorted(groups)[:MOST_DATASETS], sorted(groups)[MOST_DATASETS:]
    rest = {("", ""): [share for key in others for share in groups[key]]} if others else {}
    return {key: groups[key] for key in named} | rest


def _gauges(shares: Sequence[_Share]) -> Iterator[tuple[str, float]]:
    yield "blocks", len(shares)
    yield "nearly_exhausted_blocks", sum(share.is_nearly_exhausted for share in shares)
    yield "exhausted_blocks", sum(share.is_exhausted for share in shares)
    yield "delta", max(share.delta for share in shares)
    yield "epsilon_left", statistics.fmean(share.epsilon for share in shares)
    yield "least_epsilon_left", min(share.epsilon for share in shares)
    deltas = [share.delta_left for share in shares if share.delta_left is not None]
    if deltas:
        yield "delta_left", statistics.fmean(deltas)
    yield "committed_ratio", statistics.fmean(share.committed for share in shares)
    yield "most_committed_ratio", max(share.committed for share in shares)


def _share(block: PrivateDataBlock) -> _Share:
    left, amount = remaining.of_block(block), summary.left_amount(block)
    return _Share(
        block,
        epsilon=left.epsilon or 0.0,
        delta=0.0 if left.lifetime is None else left.lifetime.delta,
        delta_left=amount.delta if isinstance(amount, EpsilonDelta) else None,
        committed=summary.committed_share(block),
        is_nearly_exhausted=conditions.is_true(block, conditions.NEARLY_EXHAUSTED),
        is_exhausted=conditions.is_true(block, conditions.EXHAUSTED),
    )
