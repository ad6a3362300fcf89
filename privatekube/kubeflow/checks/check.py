"""A check is a name and a probe; what a probe finds is ok, failed, or could not be found out from here."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Column, Table

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.kubeflow.cluster_file import ClusterFile
from privatekube.kubeflow.pipelines_api import PipelinesApi
from privatekube.kubeflow.step_components import StepComponents
from privatekube.kubeflow.submission import Package
from privatekube.runs.run_arguments import RunArguments
from privatekube.store.kubernetes.inspection import Inspection

T = TypeVar("T")


class Unknown(Exception):  # noqa: N818 - a finding, not an error of the program
    """Raised by a probe that cannot find out from here; the message says why and what to do."""


class Verdict(enum.StrEnum):
    """What a check found."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "could not be checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Args:
        name: of the check.
        verdict: what it found.
        text: what is there, or what is wrong and what to do.
        error: why it failed; None unless it did.
    """

    name: str
    verdict: Verdict
    text: str
    error: errors.PrivateKubeError | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: one run, in one cluster.

    Args:
        cluster: the connection.
        run: the run's arguments.
        parameters: the parameters of the pipeline, as they would be sent.
        components: the steps.
        package: the compiled pipeline.
        context: context of the kubeconfig; None for the current one.
        opened: connections that the probes share.
    """

    cluster: ClusterFile
    run: RunArguments
    parameters: dict[str, Any]
    components: StepComponents
    package: Package
    context: str | None = None
    opened: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(  # noqa: D102 - see the class
        cls,
        cluster: ClusterFile,
        run: RunArguments,
        parameters: dict[str, Any],
        components: StepComponents,
        package: Path,
        *,
        context: str | None,
    ) -> Subject:
        return cls(cluster, run, parameters, components, Package.read(package), context)

    @property
    def api(self) -> PipelinesApi:
        """The API of Kubeflow Pipelines."""
        return self._once("api", lambda: PipelinesApi.of(self.cluster))

    @property
    def kubernetes(self) -> Inspection:
        """The API server; raises Unknown without a kubeconfig, or if it does not answer."""

        def open_connection() -> Inspection:
            try:
                inspection = Inspection.of(self.context)
                inspection.user()
            except errors.PrivateKubeError as error:
                raise Unknown(f"{error}; this needs a kubeconfig of the cluster") from error
            return inspection

        return self._once("kubernetes", open_connection)

    @property
    def budgets(self) -> BudgetClient:
        """A client of the cluster's control plane."""

        def open_client() -> BudgetClient:
            from privatekube.client import cluster  # noqa: PLC0415 - the Kubernetes client is imported when it is used

            _ = self.kubernetes
            return cluster.connect(self.context)

        return self._once("budgets", open_client)

    def _once(self, name: str, opening: Callable[[], T]) -> T:
        """Return a connection that is opened once; a failure is remembered too."""
        if name not in self.opened:
            try:
                self.opened[name] = opening()
            except Unknown as error:
                self.opened[name] = error
        if isinstance(self.opened[name], Unknown):
            raise Unknown(str(self.opened[name]))
        opened: T = self.opened[name]
        return opened


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Args:
        name: what is checked, as the table has it.
        probe: returns what is there; raises an error of this library, whose message says what to do, or Unknown.
    """

    name: str
    probe: Callable[[Subject], str]

    def finding(self, subject: Subject) -> Finding:
        """Return what the check finds."""
        try:
            return Finding(self.name, Verdict.OK, self.probe(subject))
        except Unknown as error:
            return Finding(self.name, Verdict.UNKNOWN, str(error))
        except errors.NotServed as error:
            return Finding(self.name, Verdict.UNKNOWN, f"you may not look: {error}")
        except errors.PrivateKubeError as error:
            return Finding(self.name, Verdict.FAILED, str(error), error)


def findings(checks: Iterable[Check], subject: Subject) -> Iterator[Finding]:
    """Yield what each check finds."""
    return (check.finding(subject) for check in checks)


def require(checks: Iterable[Check], subject: Subject) -> None:
    """Run the checks up to the first that fails.

    Raises:
        PrivateKubeError: why it failed.
    """
    for finding in findings(checks, subject):
        if finding.error is not None:
            raise finding.error


def show(checks: Iterable[Check], subject: Subject, console: Console) -> int:
    """Print what each check finds as a table, and return the exit status: of the first failure, or 0."""
    table = Table(Column("check", no_wrap=True), Column("result", no_wrap=True), "", box=None)
    first: errors.PrivateKubeError | None = None
    stated: dict[str, str] = {}
    for finding in findings(checks, subject):
        earlier = stated.setdefault(finding.text, finding.name)
        table.add_row(finding.name, str(finding.verdict), finding.text if earlier == finding.name else f"see {earlier}")
        first = first or finding.error
    console.print(table)
    return 0 if first is None else first.exit_status
