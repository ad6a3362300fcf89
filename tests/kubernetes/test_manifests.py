"""The overlays: what they render to, and that an API server accepts all of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from privatekube.client import run_demand
from privatekube.controller.metrics import Metrics
from privatekube.data import declare
from privatekube.privacy.budget import EpsilonDelta
from privatekube.runs import run_arguments
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, shipped_plan, waiting
from tests.kubernetes import published
from tests.kubernetes.apiserver import ApiServer
from tests.reconcile.harness import Plane

ROOT = Path(__file__).resolve().parent.parent.parent
MANIFESTS = ROOT / "manifests"
OVERLAYS = ("standalone", "kubeflow", "gke")
OPERATOR, OPERATOR_SUM = "v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
SPARK_OPERATOR, SPARK_OPERATOR_SUM = "v2.5.0", "h1:NNgTHgQMbrGZSFJtprjssdtCaL/qlYYQY1EyXuRaP78="
CONTROLLER, PAGE, SYSTEM = "privatekube-controller", "privatekube-page", "privatekube-system"
REPOSITORY, DIGEST = "registry.example.org/team/controller", f"sha256:{'0123456789abcdef' * 4}"
Json = dict[str, Any]

kubernetes = pytest.mark.kubernetes


def rendered(server: ApiServer, overlay: Path) -> list[Json]:
    return list(yaml.safe_load_all(server.kubectl("kustomize", str(overlay))))


def one(documents: list[Json], kind: str, name: str) -> Json:
    (document,) = [
        document for document in documents if (document["kind"], document["metadata"]["name"]) == (kind, name)
    ]
    return document


@kubernetes
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_server_accepts_all_of_an_overlay(apiserver: ApiServer, overlay: str) -> None:
    documents = rendered(apiserver, MANIFESTS / "overlays" / overlay)
    namespaces = [document for document in documents if document["kind"] == "Namespace"]
    apiserver.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(namespaces))
    said = apiserver.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(MANIFESTS / "overlays" / overlay)
    )
    assert said.count("serverside-applied (server dry run)") == len(documents)


@kubernetes
def test_the_definitions_of_the_prometheus_operator_take_the_monitoring(apiserver: ApiServer) -> None:
    definitions = [str(path) for path in prometheus_operator()]
    files = [word for path in definitions for word in ("-f", path)]
    apiserver.kubectl("apply", "--server-side", *files)
    try:
        waiting.until_definitions_are_established(apiserver.kubectl)
        documents = rendered(apiserver, MANIFESTS / "monitoring")
        apiserver.kubectl("apply", "--server-side", "-f", str(MANIFESTS / "controller" / "namespace.yaml"))
        apply = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", str(MANIFESTS / "monitoring"))
        assert apiserver.kubectl(*apply).count("serverside-applied (server dry run)") == len(documents) == 2
        service = one(rendered(apiserver, MANIFESTS / "overlays" / "standalone"), "Service", f"{CONTROLLER}-metrics")
        monitor = one(documents, "ServiceMonitor", CONTROLLER)["spec"]
        assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert {end["port"] for end in monitor["endpoints"]} == {port["name"] for port in service["spec"]["ports"]}
    finally:
        apiserver.kubectl("delete", *files)


@kubernetes
def test_the_definitions_of_the_spark_operator_take_the_application(apiserver: ApiServer) -> None:
    module = published.module("github.com/kubeflow/spark-operator/v2", SPARK_OPERATOR, SPARK_OPERATOR_SUM)
    definition = str(module / "config" / "crd" / "bases" / "sparkoperator.k8s.io_sparkapplications.yaml")
    apiserver.kubectl("apply", "--server-side", "-f", definition)
    try:
        waiting.until_definitions_are_established(apiserver.kubectl)
        documents = rendered(apiserver, MANIFESTS / "spark")
        application = one(documents, "SparkApplication", "privatekube-cut")
        namespace = application["metadata"]["namespace"]
        place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        apiserver.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(place))
        apply = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", str(MANIFESTS / "spark"))
        assert apiserver.kubectl(*apply).count("serverside-applied (server dry run)") == len(documents) == 6
        account = {"kind": "ServiceAccount", "name": application["spec"]["driver"]["serviceAccount"]}
        owner = one(documents, "ClusterRoleBinding", "privatekube-spark-data-owner")
        assert owner["subjects"] == [account | {"namespace": namespace}]
        assert {f"--namespace={namespace}", "--engine=spark"} <= set(application["spec"]["arguments"])
        executor = one(documents, "ServiceAccount", application["spec"]["executor"]["serviceAccount"])
        assert executor["automountServiceAccountToken"] is False
        assert "monitoring" not in application["spec"]
    finally:
        apiserver.kubectl("delete", "-f", definition)


def prometheus_operator() -> list[Path]:
    """Return the published definitions of the kinds of the Prometheus operator."""
    folder = published.module("github.com/prometheus-operator/prometheus-operator", OPERATOR, OPERATOR_SUM)
    kinds = ("prometheusrules", "servicemonitors")
    return [folder / "example" / "prometheus-operator-crd" / f"monitoring.coreos.com_{kind}.yaml" for kind in kinds]


@kubernetes
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_controller_is_restricted_probed_and_has_two_replicas(apiserver: ApiServer, overlay: str) -> None:
    documents = rendered(apiserver, MANIFESTS / "overlays" / overlay)
    deployment = one(documents, "Deployment", CONTROLLER)["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert pod["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": 1000}.items()
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {(container[f"{kind}Probe"]["httpGet"]["path"], kind) for kind in ("liveness", "readiness")} == {
        ("/healthz", "liveness"),
        ("/readyz", "readiness"),
    }
    assert set(container["resources"]["limits"]) == set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp"}  # noqa: S108 - the pod's own
    assert {variable["name"] for variable in container["env"]} >= {"POD_NAME", "POD_NAMESPACE", "PRIVATEKUBE_UNLOCK"}
    assert deployment["template"]["metadata"]["annotations"]["prometheus.io/port"] == "8080"


@kubernetes
def test_a_budget_for_disruption_and_the_metrics_find_the_pods(apiserver: ApiServer) -> None:
    documents = rendered(apiserver, MANIFESTS / "overlays" / "standalone")
    labels = one(documents, "Deployment", CONTROLLER)["spec"]["template"]["metadata"]["labels"]
    disruption = one(documents, "PodDisruptionBudget", CONTROLLER)["spec"]
    assert disruption == {"minAvailable": 1, "selector": {"matchLabels": labels}}
    assert one(documents, "Service", f"{CONTROLLER}-metrics")["spec"]["selector"] == labels
    enforced = one(documents, "Namespace", SYSTEM)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"


@kubernetes
def test_kubeflow_adds_the_roles_to_its_own(apiserver: ApiServer) -> None:
    documents = rendered(apiserver, MANIFESTS / "overlays" / "kubeflow")
    label = "rbac.authorization.kubeflow.org/aggregate-to-kubeflow-"
    for role, to in (("viewer", "view"), ("claimant", "edit"), ("administrator", "admin")):
        assert one(documents, "ClusterRole", f"privatekube-{role}")["metadata"]["labels"][label + to] == "true"


@kubernetes
def test_the_page_stands_beside_an_overlay_and_its_pod_has_no_right_and_no_token(apiserver: ApiServer) -> None:
    apiserver.kubectl("apply", "--server-side", "-f", str(MANIFESTS / "controller" / "namespace.yaml"))
    said = apiserver.kubectl("apply", "--server-side", "--dry-run=server", "-k", str(MANIFESTS / "page"))
    documents = rendered(apiserver, MANIFESTS / "page")
    assert said.count("serverside-applied (server dry run)") == len(documents) == 3
    pod = one(documents, "Deployment", PAGE)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": 1000}.items()
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {tuple(volume.keys() - {"name"}) for volume in pod["volumes"]} == {("configMap",), ("emptyDir",)}
    assert not allowed(apiserver, f"{SYSTEM}:{PAGE}", "list", "privatedatablocks.columbia.github.com")
    assert not allowed(apiserver, f"{SYSTEM}:{PAGE}", "list", "namespaces")


@kubernetes
def test_the_kinds_and_roles_and_their_rules_are_installed_without_a_controller(apiserver: ApiServer) -> None:
    kinds = {document["kind"] for document in rendered(apiserver, MANIFESTS / "base")}
    policies = {f"{kind}AdmissionPolicy{part}" for kind in ("Mutating", "Validating") for part in ("", "Binding")}
    assert kinds == {"CustomResourceDefinition", "ClusterRole"} | policies


@kubernetes
def test_pinning_has_every_overlay_run_that_image_and_no_other(apiserver: ApiServer, tmp_path: Path) -> None:
    copy = shutil.copytree(MANIFESTS, tmp_path / "manifests")
    for part in ("controller", "page"):
        subprocess.run([copy / "pin-image.sh", part, f"{REPOSITORY}@{DIGEST}"], check=True)
    for folder, name in (*((f"overlays/{overlay}", CONTROLLER) for overlay in OVERLAYS), ("page", PAGE)):
        deployment = one(rendered(apiserver, copy / folder), "Deployment", name)
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"{REPOSITORY}@{DIGEST}"


@pytest.mark.parametrize("image", ["", REPOSITORY, f"{REPOSITORY}:latest", f"{REPOSITORY}@sha256:12", f"@{DIGEST}"])
def test_what_is_not_pinned_by_digest_is_refused(tmp_path: Path, image: str) -> None:
    copy = shutil.copytree(MANIFESTS, tmp_path / "manifests")
    pinned = copy / "controller" / "image" / "kustomization.yaml"
    before = pinned.read_text()
    done = subprocess.run([copy / "pin-image.sh", "controller", image], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: image '{image}': is not pinned by digest")
    assert pinned.read_text() == before
    done = subprocess.run([copy / "pin-image.sh", image], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"error: part '{image}': is not one of controller, page\n")


@kubernetes
def test_the_example_lets_a_pipeline_claim_and_read_no_secret_through_the_api(apiserver: ApiServer) -> None:
    apiserver.kubectl("apply", "-f", str(MANIFESTS / "user-role_secrets.example.yaml"))
    for account in ("kubeflow:pipeline-runner", "my-team:default-editor"):
        waiting.until(partial(allowed, apiserver, account, "create", "privacybudgetclaims.columbia.github.com"))
        assert not allowed(apiserver, account, "get", "secrets/data-bucket")
        assert not allowed(apiserver, account, "patch", "privacybudgetclaims.columbia.github.com/x", "status")
    assert not allowed(apiserver, "my-team:other", "create", "privacybudgetclaims.columbia.github.com")


@kubernetes
def test_the_shipped_arguments_are_granted_at_once_in_a_new_cluster_under_the_shipped_policy(
    apiserver: ApiServer, store: KubernetesStore
) -> None:
    deployment = one(rendered(apiserver, MANIFESTS / "overlays" / "standalone"), "Deployment", CONTROLLER)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    policy = {variable["name"]: variable.get("value", "") for variable in container["env"]}
    plane = Plane(store, unlock=policy["PRIVATEKUBE_UNLOCK"], order=policy["PRIVATEKUBE_ORDER"])
    run = run_arguments.load(ROOT / "arguments.yaml")
    composition = shipped_plan.solved(epsilon=run.epsilon).composition
    for accounting in declare.ACCOUNTINGS:
        block = builders.block(accounting, declare.initial_budget(10.0, 1e-7, accounting), dataset=accounting)
        demand = run_demand.price(composition, EpsilonDelta(run.epsilon, run.delta), [block])
        store.create(block)
        store.create(builders.claim(accounting, builders.allocate(demand=demand, dataset=accounting)))
    plane.run()
    assert [plane.states(accounting) for accounting in declare.ACCOUNTINGS] == [["success"], ["success"]]


@kubernetes
def test_every_authenticated_user_reads_the_policy_and_none_changes_it(apiserver: ApiServer) -> None:
    apiserver.kubectl("apply", "-f", str(MANIFESTS / "controller" / "access.yaml"))
    waiting.until(
        partial(allowed, apiserver, "my-team:other", "get", "configmaps/privatekube-policy", namespace=SYSTEM)
    )
    assert not allowed(apiserver, "my-team:other", "get", "configmaps/another", namespace=SYSTEM)
    assert not allowed(apiserver, "my-team:other", "patch", "configmaps/privatekube-policy", namespace=SYSTEM)
    waiting.until(
        partial(
            allowed, apiserver, f"{SYSTEM}:{CONTROLLER}", "patch", "configmaps/privatekube-policy", namespace=SYSTEM
        )
    )


def allowed(
    server: ApiServer, account: str, verb: str, what: str, subresource: str = "", *, namespace: str = "my-team"
) -> bool:
    """Whether a service account may do that, according to the API server."""
    resource, _, name = what.partition("/")
    plural, _, group = resource.partition(".")
    asked = {"verb": verb, "group": group, "resource": plural, "name": name, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{account}",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": {**asked, "subresource": subresource},
        },
    }
    answer = json.loads(server.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review)))
    return bool(answer["status"].get("allowed", False))


def test_the_dashboard_shows_all_metrics_that_the_controller_has_and_no_others() -> None:
    dashboard = json.loads((MANIFESTS / "dashboard.json").read_text())
    assert dashboard["schemaVersion"] == 39
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    shown = set(re.findall(r"privatekube_[a-z_]+", " ".join(expressions)))
    kinds = re.findall(r"^# TYPE (privatekube_\w+) (\w+)$", Metrics(list, list).text().decode(), re.MULTILINE)
    given = {name if kind != "histogram" else f"{name}_bucket" for name, kind in kinds if not name.endswith("_created")}
    assert shown == given
