"""The Prometheus metrics of the controller. Budgets are public: nothing here comes from the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from privatekube.controller import status_events
from privatekube.controller.status_events import StatusEvent
from privatekube.privacy.budget import RenyiCurve
from privatekube.resources import summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.refusals import RefusalReason

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The controller's metrics.

    Args:
        blocks: returns the current blocks; called at each scrape.
        claims: returns the current open claims; called at each scrape.
    """

    def __init__(
        self, blocks: Callable[[], Sequence[PrivateDataBlock]], claims: Callable[[], Sequence[PrivacyBudgetClaim]]
    ) -> None:
        registry = self._registry = CollectorRegistry()
        registry.register(_Budgets(blocks, claims))
        self.leader = Gauge("privatekube_leader", "1 on the replica that leads.", registry=registry)
        self.decision = Histogram(
            "privatekube_decision_seconds",
            "How long a pass took, its writes included.",
            registry=registry,
            buckets=_SECONDS,
        )
        self.writes = Counter("privatekube_status_writes", "Writes of status.", ["kind"], registry=registry)
        self.conflicts = Counter(
            "privatekube_conflicts", "Writes refused because another process wrote first.", registry=registry
        )
        self.relists = Counter(
            "privatekube_watch_relists",
            "Times that all objects of a kind were listed again.",
            ["kind"],
            registry=registry,
        )
        self.failures = Counter(
            "privatekube_failed_passes", "Passes that ended with an error.", ["reason"], registry=registry
        )
        self._grants = Counter("privatekube_grants", "Granted allocate requests.", registry=registry)
        self._refusals = Counter(
            "privatekube_refusals", "Refused allocate requests, by reason.", ["reason"], registry=registry
        )

    def count_event(self, event: StatusEvent) -> None:
        """Count a grant or a refusal of a claim."""
        if event.reason == status_events.GRANTED:
            self._grants.inc()
        elif event.reason in set(RefusalReason):
            self._refusals.labels(event.reason).inc()

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class _Budgets(Collector):
    """Gauges that are computed from the blocks and claims at each scrape."""

    def __init__(
        self, blocks: Callable[[], Sequence[PrivateDataBlock]], claims: Callable[[], Sequence[PrivacyBudgetClaim]]
    ) -> None:
        self._blocks, self._claims = blocks, claims

    def collect(self) -> Iterable[Metric]:
        """Compute the gauges."""
        labels = ("namespace", "block")
        left = GaugeMetricFamily(
            "privatekube_block_epsilon_left",
            "Epsilon that was not granted yet; of a Renyi budget, at the order with the most left.",
            labels=(*labels, "order"),
        )
        committed = GaugeMetricFamily(
            "privatekube_block_committed_ratio", "The committed part of the initial budget.", labels=labels
        )
        for block in self._blocks():
            for name, order, epsilon in _left(block):
                left.add_metric([block.meta.namespace, name, order], epsilon)
            committed.add_metric([block.meta.namespace, block.meta.name], summary.committed_share(block))
        waiting = sum(claim.is_waiting for claim in self._claims())
        return [left, committed, GaugeMetricFamily("privatekube_claims_waiting", "Claims that wait.", value=waiting)]

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the caches are empty when this is registered."""
        return []


def _left(block: PrivateDataBlock) -> Iterator[tuple[str, str, float]]:
    """Yield the name of the block, the order of a Renyi budget or an empty text, and the epsilon left."""
    if block.status is None:
        return
    left = block.status.pending + block.status.available
    if isinstance(left, RenyiCurve):
        alpha, epsilon = left.best_order()
        yield block.meta.name, f"{alpha:g}", epsilon
    else:
        yield block.meta.name, "", left.epsilon
