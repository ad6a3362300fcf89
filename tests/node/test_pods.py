"""The node itself: restricted pods run by digest, limits are enforced, names resolve, tokens identify accounts."""

from __future__ import annotations

import json

import pytest

from tests.node import pods
from tests.node.node import Node

pytestmark = [pytest.mark.node, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def namespace(node: Node) -> None:
    node.apply(pods.namespace())


def test_a_restricted_pod_pulled_by_digest_runs_and_its_log_is_read(node: Node, python: str) -> None:
    assert "@sha256:" in python
    node.apply(pods.pod("speaks", python, "import os; print('user', os.getuid()); raise SystemExit(3)"))
    assert pods.wait_for_end(node, "speaks")["exitCode"] == 3
    assert pods.log(node, "speaks") == "user 1000\n"


def test_a_pod_that_is_not_restricted_is_refused(node: Node, python: str) -> None:
    document = pods.pod("unbound", python, "pass")
    del document["spec"]["containers"][0]["securityContext"]
    output = node.kubectl("apply", "-f", "-", stdin=json.dumps(document), status=1)
    assert 'violates PodSecurity "restricted' in output


def test_a_pod_over_its_memory_limit_is_killed_for_it(node: Node, python: str) -> None:
    node.apply(pods.pod("eats", python, "eaten = bytearray(256 << 20)", memory="64Mi"))
    end = pods.wait_for_end(node, "eats")
    assert (end["reason"], end["exitCode"]) == ("OOMKilled", 137)


def test_a_pod_cannot_write_to_its_image(node: Node, python: str) -> None:
    node.apply(pods.pod("writes", python, "open('/var/tmp/note', 'w')"))
    assert pods.wait_for_end(node, "writes")["exitCode"] == 1
    assert "Read-only file system" in pods.log(node, "writes")


def test_names_of_services_resolve(node: Node, python: str) -> None:
    script = "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"
    node.apply(pods.pod("asks", python, script))
    assert pods.wait_for_end(node, "asks")["exitCode"] == 0, pods.log(node, "asks")
    service = node.read("service", "kubernetes", "default")
    assert pods.log(node, "asks").strip() == service["spec"]["clusterIP"]


ASK = """
import json, ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
context = ssl.create_default_context(cafile=folder + "ca.crt")
url = "https://kubernetes.default.svc/apis/authentication.k8s.io/v1/selfsubjectreviews"
review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
headers = {"Authorization": "Bearer " + open(folder + "token").read(), "Content-Type": "application/json"}
request = urllib.request.Request(url, json.dumps(review).encode(), headers)
print(json.load(urllib.request.urlopen(request, context=context))["status"]["userInfo"]["username"])
"""


def test_a_projected_token_is_its_service_account(node: Node, python: str) -> None:
    metadata = {"name": "asker", "namespace": pods.NAMESPACE}
    node.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    node.apply(pods.pod("token", python, ASK, serviceAccountName="asker"))
    assert pods.wait_for_end(node, "token")["exitCode"] == 0, pods.log(node, "token")
    assert pods.log(node, "token").strip() == f"system:serviceaccount:{pods.NAMESPACE}:asker"
