"""The checks before a submission, on a real API server: what is missing is named with the command that adds it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import compiler
from kfp.pipeline_spec import pipeline_spec_pb2
from kubernetes import client
from rich.console import Console

from pipelines import dp_lstm
from privatekube import errors
from privatekube.client import connect
from privatekube.kubeflow import discard
from privatekube.kubeflow.checks import check
from privatekube.kubeflow.checks.all_checks import CHECKS
from privatekube.kubeflow.checks.check import Finding, Subject, Verdict
from privatekube.kubeflow.cluster_file import ClusterFile
from privatekube.kubeflow.follow import Follower
from privatekube.kubeflow.pipelines_api import PipelinesApi
from privatekube.kubeflow.pod_settings import PodSettings
from privatekube.kubeflow.step_components import StepComponents
from privatekube.kubeflow.submission import Package
from privatekube.resources import meta
from privatekube.runs import run_arguments
from privatekube.store.kubernetes import inspection
from privatekube.store.kubernetes.inspection import Inspection
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.conftest import MANIFESTS
from tests.e2e.conftest import ROOT
from tests.kubeflow.servers.pipelines import Pipelines
from tests.kubeflow.test_follow import put
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.test_pipeline import user

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]
Finder = Callable[..., Finding]
CLASS = {"metadata": {"name": "quick"}, "provisioner": "example.org/none"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    path = tmp_path_factory.mktemp("package") / "p.yaml"
    requests = {"cpu_request": 2, "memory_request": "8Gi"}
    pods = PodSettings.model_validate({"gpus": 0, "steps": {"dp_train": requests}})
    built = dp_lstm.build(StepComponents.of_project(ROOT, dp_lstm.STEPS).folders, pods=pods)
    compiler.Compiler().compile(built, str(path))
    return Package.read(path)


@pytest.fixture
def pipelines() -> Iterator[Pipelines]:
    server = Pipelines()
    with server.serving():
        yield server


@pytest.fixture
def find(
    apiserver: ApiServer,
    store: KubernetesStore,
    pipelines: Pipelines,
    package: Package,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Finder]:
    """Return a function that runs the check of a name as a user of the API server."""
    opened: list[Subject] = []

    def finding(
        name: str,
        *,
        who: str = "admin",
        used: Package = package,
        account: str | None = None,
        place: str | None = None,
        **run: Any,
    ) -> Finding:
        monkeypatch.setenv("KUBECONFIG", str(apiserver.kubeconfig(who)))
        stated = run_arguments.load(ROOT / "arguments.yaml").model_copy(update=run)
        content = {"host": pipelines.url, "namespace": "my-team", "service_account": account, "data": place}
        cluster = ClusterFile.model_validate(content)
        components = StepComponents.of_project(ROOT, dp_lstm.STEPS)
        subject = Subject(cluster, stated, stated.model_dump(), components, used)
        opened.append(subject)
        (wanted,) = (item for item in CHECKS if item.name == name)
        return wanted.finding(subject)

    yield finding
    for subject in opened:
        connection = subject.opened.get("kubernetes")
        if isinstance(connection, Inspection):
            connection.close()


def failed(finding: Finding, kind: type[errors.PrivateKubeError]) -> str:
    assert finding.verdict is Verdict.FAILED, finding
    assert isinstance(finding.error, kind)
    assert "\n" not in finding.text
    return finding.text


def test_the_fields_that_this_version_needs_are_in_the_manifests() -> None:
    kinds: dict[str, Any] = {}
    for path in (MANIFESTS / "base").glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            if document and document["kind"] == "CustomResourceDefinition":
                kinds[document["spec"]["names"]["kind"]] = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for kind, paths in inspection.NEEDED.items():
        for field in paths:
            schema = kinds[kind]
            for name in field.split("."):
                schema = schema["properties"][name]


def test_what_is_installed_and_who_may_claim_is_found(apiserver: ApiServer, find: Finder, start: Starter) -> None:
    assert find("cluster", who="viewer").text == f"{apiserver.url} as system:serviceaccount:privatekube-tests:viewer"
    assert find("definitions", who="viewer").verdict is Verdict.OK
    assert "none leads; look: kubectl -n privatekube-system" in failed(find("controller"), errors.StoreBusy)
    start("a", "--unlock", "all")
    waiting.until(lambda: find("controller").verdict is Verdict.OK)
    assert find("controller", who="viewer").verdict is Verdict.UNKNOWN
    assert find("namespaces there").text == "my-team, privacy-example"
    lost = failed(find("namespaces there", namespace="lost"), errors.NotFound)
    assert lost.startswith("namespace lost: does not exist; create it (kubectl create namespace lost), or correct")


def test_definitions_that_are_absent_or_older_are_named_with_the_command_that_installs_them(
    find: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setitem(inspection.NEEDED, "PrivateDataBlock", ("spec.ofTheNextVersion",))
        older = failed(find("definitions"), errors.InvalidInput)
    assert "are of an earlier version (PrivateDataBlock spec.ofTheNextVersion is missing); run kubectl apply" in older
    monkeypatch.setattr(meta, "API_VERSION", "columbia.github.com/v9")
    absent = failed(find("definitions"), errors.InvalidInput)
    assert absent == (
        "resource definitions: are not installed; install them: kubectl apply -k manifests/overlays/kubeflow "
        "(or standalone, gke)"
    )


def test_a_run_of_the_cluster_that_is_given_up_ends_and_its_claim_is_settled(
    apiserver: ApiServer,
    store: KubernetesStore,
    start: Starter,
    pipelines: Pipelines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start("a", "--unlock", "all")
    store.create(builders.block())
    monkeypatch.setenv("KUBECONFIG", str(apiserver.kubeconfig("claimant")))
    monkeypatch.delenv("PRIVATEKUBE_STORE", raising=False)
    with connect.connect("kubernetes") as client_of_run:
        client_of_run.allocate(
            builders.NAMESPACE, "run-run-0", builders.allocate(0.1), timeout_seconds=waiting.PATIENCE_SECONDS
        )
    put(pipelines, "RUNNING", dp_train="RUNNING")
    pipelines.runs["run-0"]["runtime_config"] = {"parameters": {"namespace": builders.NAMESPACE}}
    (tmp_path / "client_secrets.yaml").write_text(f"host: {pipelines.url}\nnamespace: my-team\n")
    monkeypatch.chdir(tmp_path)
    assert discard.discard("run-0") == "terminated; claim: released"
    assert pipelines.runs["run-0"]["state"] == "CANCELED"
    assert discard.discard("run-0") == "had ended; claim: nothing to settle"
    put(pipelines, "SUCCEEDED", run_id="run-1")
    with pytest.raises(errors.InvalidInput, match=r"run run-1: has no argument namespace, so its claim is not known"):
        discard.discard("run-1")


def test_a_claim_in_a_namespace_that_does_not_exist_says_what_to_do(store: KubernetesStore) -> None:
    claim = builders.claim()
    lost = replace(claim, meta=replace(claim.meta, namespace="lost"))
    with pytest.raises(errors.NotFound, match=r"^namespace lost: does not exist; create it \(kubectl create namespace"):
        store.create(lost)


def test_a_controller_that_has_stopped_renewing_its_lease_is_not_alive(
    find: Finder, apiserver: ApiServer, store: KubernetesStore
) -> None:
    spec = {"holderIdentity": "gone", "renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 10}
    lease = {"metadata": {"name": inspection.LEASE}, "spec": spec}
    client.CoordinationV1Api(apiserver.api()).create_namespaced_lease("privatekube-system", lease)
    assert "has not renewed its lease for" in failed(find("controller"), errors.StoreBusy)


def test_the_account_of_a_run_needs_the_role_where_the_blocks_are(find: Finder, apiserver: ApiServer) -> None:
    missing = failed(find("roles", account="lost"), errors.NotFound)
    assert missing.startswith("service account my-team/lost: does not exist")
    apiserver.kubectl("create", "serviceaccount", "runs", "-n", "my-team")
    try:
        line = failed(find("roles", account="runs"), errors.InvalidInput)
        command = line.partition("run kubectl ")[2]
        assert "system:serviceaccount:my-team:runs may not get privatedatablocks in namespace privacy-example" in line
        assert find("roles", account="runs", who="viewer").verdict is Verdict.UNKNOWN
        apiserver.kubectl(*command.split())
        waiting.until(lambda: find("roles", account="runs").text == "my-team/runs may claim in privacy-example")
    finally:
        apiserver.kubectl(
            "delete", "rolebinding", "privatekube-claimants", "-n", "privacy-example", "--ignore-not-found"
        )
        apiserver.kubectl("delete", "serviceaccount", "runs", "-n", "my-team")


def test_blocks_and_budget_are_those_of_the_cluster_under_its_policy(
    find: Finder, store: KubernetesStore, start: Starter, apiserver: ApiServer, tmp_path: Path
) -> None:
    start("a", "--unlock", "n=100")
    assert "0" in failed(find("blocks"), errors.InvalidInput)
    owner = user(apiserver, tmp_path, "data-owner")
    owner.run("demo_blocks.py", "create", "--local-files", "--days", "1")
    assert "a folder that no pod can read; create the blocks with --data-dir gs://" in failed(
        find("blocks"), errors.InvalidInput
    )
    assert "is not below gs://b/blocks, which the pods' credentials are for" in failed(
        find("data", place="gs://b/blocks"), errors.InvalidInput
    )
    assert find("data").verdict is Verdict.OK
    waits = failed(find("budget", epsilon=5.0), errors.DeadlineExceeded)
    assert waits.startswith("budget: would wait")
    assert "more requests have come" in waits
    assert "or submit with --no-check" in waits
    refused = failed(find("budget", epsilon=50.0), errors.BudgetUnavailable)
    assert refused.startswith("budget: would be refused:")
    assert find("budget", epsilon=0.01, delta=1e-10).text.startswith("would be granted now, on ")


def test_nodes_gpus_and_storage_classes_are_those_that_are_there(
    find: Finder, apiserver: ApiServer, package: Package
) -> None:
    core, storage = client.CoreV1Api(apiserver.api()), client.StorageV1Api(apiserver.api())
    assert find("nodes").verdict is Verdict.UNKNOWN
    node = {"metadata": {"name": "small"}}
    core.create_node(node)
    try:
        for allocatable, text in (
            ({"cpu": "1", "memory": "64Gi"}, "nodes: no node has cpu 2, memory 8Gi for dp-"),
            ({"cpu": "2", "memory": "64Gi"}, ""),
        ):
            core.patch_node_status("small", {"status": {"allocatable": allocatable}})
            found = find("nodes")
            assert text in found.text
            assert found.verdict is (Verdict.FAILED if text else Verdict.OK)
        assert find("GPU").text == "none is requested"
        with_gpu = _with_gpu(package)
        assert "no node has 1 nvidia.com/gpu for dp-train; run with gpus: 0, or add" in failed(
            find("GPU", used=with_gpu), errors.InvalidInput
        )
        core.patch_node_status("small", {"status": {"allocatable": {"nvidia.com/gpu": "1"}}})
        assert find("GPU", used=with_gpu).verdict is Verdict.OK
        assert find("workspace", used=replace(package, platform={})).text == "none is requested"
        named, unnamed = (_with_workspace(package, name) for name in ("quick", None))
        assert "storage class quick: does not exist; name one of none" in failed(
            find("workspace", used=named), errors.InvalidInput
        )
        assert find("workspace", used=unnamed).verdict is Verdict.UNKNOWN
        storage.create_storage_class(CLASS)
        assert find("workspace", used=named).text == "4Gi of storage class quick"
        default = {"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}
        storage.patch_storage_class("quick", default)
        assert find("workspace", used=unnamed).text == "4Gi of storage class quick"
        assert find("nodes", who="viewer").verdict is Verdict.UNKNOWN
    finally:
        core.delete_node("small")
        storage.delete_collection_storage_class()


def test_a_pod_of_a_followed_run_that_does_not_start_says_why(apiserver: ApiServer, pipelines: Pipelines) -> None:
    core = client.CoreV1Api(apiserver.api())
    core.create_namespaced_pod("my-team", _pod("dp-lstm-x-1", run_id="run-0"))
    core.create_namespaced_pod("my-team", _pod("dp-lstm-y-1", run_id="run-1"))
    involved = {"kind": "Pod", "name": "dp-lstm-x-1", "namespace": "my-team"}
    event = {"metadata": {"name": "e"}, "involvedObject": involved, "type": "Warning", "reason": "FailedMount"}
    core.create_namespaced_event("my-team", event | {"message": "secret bucket not found"})
    seconds, inspection_of_admin = [0.0], Inspection(apiserver.api())

    def pause(_: float) -> None:
        seconds[0] += 50
        state = "RUNNING" if seconds[0] < 120 else "SUCCEEDED"
        put(pipelines, state, dp_train=state)

    put(pipelines, "RUNNING", dp_train="RUNNING")
    api, written = PipelinesApi.of(ClusterFile.model_validate({"host": pipelines.url})), io.StringIO()
    following = Follower(
        api, "run-0", dp_lstm.STEPS, "my-team", inspection_of_admin, clock=lambda: seconds[0], sleep=pause
    )
    try:
        assert following.follow(Console(file=written, width=400)) == 0
    finally:
        for name in ("dp-lstm-x-1", "dp-lstm-y-1"):
            core.delete_namespaced_pod(name, "my-team", grace_period_seconds=0)
        inspection_of_admin.close()
    reason = "FailedMount: secret bucket not found; create the secret or volume that it names"
    assert f"dp_train: pod dp-lstm-x-1 is Pending: {reason}" in written.getvalue()
    assert "dp-lstm-y-1" not in written.getvalue()


def test_without_a_kubeconfig_the_clusters_checks_say_so_and_refuse_nothing(
    pipelines: Pipelines, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/dev/null")
    stated = run_arguments.load(ROOT / "arguments.yaml", ["prefix=gs://b/x"])
    cluster = ClusterFile.model_validate({"host": pipelines.url, "namespace": "my-team"})
    subject = Subject(cluster, stated, stated.model_dump(), StepComponents.of_project(ROOT, dp_lstm.STEPS), package)
    named = {item.name: item for item in CHECKS}
    for name in ("cluster", "namespaces there", "definitions", "controller", "roles", "blocks", "budget", "nodes"):
        found = named[name].finding(subject)
        assert found.verdict is Verdict.UNKNOWN, found
        assert "this needs a kubeconfig of the cluster" in found.text
    for name in ("arguments", "host", "sign-in", "namespace"):
        assert named[name].finding(subject).verdict is Verdict.OK
    with pytest.raises(errors.InvalidInput, match="names no digest"):
        check.require(CHECKS, subject)


def _pod(name: str, *, run_id: str) -> dict[str, Any]:
    node = {"workflows.argoproj.io/node-name": "dp-lstm.root.exit-handler-1.dp-train(0).executor(0)"}
    metadata = {"name": name, "labels": {inspection.RUN_LABEL: run_id}, "annotations": node}
    containers = [{"name": "main", "image": "example.org/none"}]
    return {"metadata": metadata, "spec": {"containers": containers, "automountServiceAccountToken": False}}


def _with_gpu(package: Package) -> Package:
    document = json_format.MessageToDict(package.spec)
    executor = document["deploymentSpec"]["executors"]["exec-dp-train"]["container"]["resources"]
    executor["accelerator"] = {
        "resourceType": "nvidia.com/gpu",
        "resourceCount": "1",
        "type": "nvidia.com/gpu",
        "count": "1",
    }
    return replace(package, spec=json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec()))


def _with_workspace(package: Package, name: str | None) -> Package:
    patch = {"storageClassName": name} if name else {}
    workspace = {"size": "4Gi", "kubernetes": {"pvcSpecPatch": patch}}
    platform = {"platforms": {"kubernetes": {"pipelineConfig": {"workspace": workspace}}}}
    json_format.ParseDict(json.loads(json.dumps(platform)), pipeline_spec_pb2.PlatformSpec())
    return replace(package, platform=platform)
