"""The Prometheus metrics of the controller. Budgets are public: nothing here comes from the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from privatekube.controller import status_events
from privatekube.controller.dataset_metrics import DatasetBudgets
from privatekube.controller.status_events import StatusEvent
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
        registry.register(DatasetBudgets(blocks))
        registry.register(_Waiting(claims))
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
        self._notifications = Counter(
            "privatekube_notifications",
            "Messages to the receiver of --notify, by result.",
            ["result"],
            registry=registry,
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

    def count_notification(self, result: str) -> None:
        """Count a message to the receiver of `--notify`."""
        self._notifications.labels(result).inc()

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class _Waiting(Collector):
    """How many claims wait, counted at each scrape."""

    def __init__(self, claims: Callable[[], Sequence[PrivacyBudgetClaim]]) -> None:
        self._claims = claims

    def collect(self) -> Iterable[Metric]:
        """Count the claims."""
        waiting = sum(claim.is_waiting for claim in self._claims())
        return [GaugeMetricFamily("privatekube_claims_waiting", "Claims that wait.", value=waiting)]

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the caches are empty when this is registered."""
        return []
