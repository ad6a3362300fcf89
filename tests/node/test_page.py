"""The deployed page: a pod of its image, without rights, that shows each visitor what their own token may read."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.custom_objects import Cluster
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.node import deployment, images, pods
from tests.node.deployment import MANIFESTS, Deployment
from tests.node.node import Json, Node

pytestmark = [pytest.mark.node, pytest.mark.timeout(1800)]

NAME, ELSEWHERE, VISITOR = "privatekube-page", "elsewhere", "visitor"
ASK = """
import json, sys, urllib.error, urllib.request
address, *paths = json.loads(ARGUMENTS)
token = open("/var/run/secrets/kubernetes.io/serviceaccount/token").read()
def ask(path, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
found = {path: ask(path, {"Authorization": "Bearer " + token}) for path in paths}
json.dump({**found, "nobody": ask(paths[0], {})}, sys.stdout)
"""
"""What a visitor's pod runs: it asks the page with its own token, and once without any."""


@pytest.fixture(scope="module")
def address(node: Node, controller: Deployment, base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Deploy the page beside the controller, and return its address in the cluster."""
    controller.wait()
    built = images.build(MANIFESTS / "page" / "Dockerfile", "localhost/privatekube/page:test", base=base)
    image = node.push(built, "privatekube/page")
    copy = shutil.copytree(MANIFESTS, tmp_path_factory.mktemp("page") / "manifests")
    subprocess.run([copy / "pin-image.sh", "page", image], check=True)
    node.kubectl("apply", "-k", str(copy / "page"))
    node.kubectl("rollout", "status", f"deployment/{NAME}", "-n", deployment.NAMESPACE, "--timeout=180s")
    return f"http://{node.read('service', NAME, deployment.NAMESPACE)['spec']['clusterIP']}"


@pytest.fixture(scope="module")
def _claims(node: Node, controller: Deployment) -> Iterator[None]:
    """Make a block and a claim in each of two namespaces, and a visitor who may view one of them."""
    account = {"name": VISITOR, "namespace": pods.NAMESPACE}
    node.apply(
        pods.namespace(),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ELSEWHERE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        _view(account),
    )
    with node.enter_network():
        store = KubernetesStore(Cluster(api := node.api()), CoreObjects(api))
        for namespace in (pods.NAMESPACE, ELSEWHERE):
            block, claim = builders.block(f"block-in-{namespace}"), builders.claim(f"claim-in-{namespace}")
            store.create(replace(block, meta=replace(block.meta, namespace=namespace)))
            store.create(replace(claim, meta=replace(claim.meta, namespace=namespace)))
        waiting.until(lambda: all(block.status is not None for block in store.list_blocks()), store.list_blocks)
    yield  # outside the node's network, in which an image that is built meanwhile would find no package index
    with node.enter_network():
        for block in [block for block in store.list_blocks() if block.meta.name.startswith("block-in-")]:
            node.kubectl("delete", "privatedatablock", block.meta.name, "-n", block.meta.namespace, "--wait=false")
        store.close()


def _view(account: Json) -> Json:
    """Return a binding of the role of a viewer to an account, in its own namespace."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": account,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "privatekube-viewer"},
        "subjects": [{"kind": "ServiceAccount", **account}],
    }


@pytest.mark.usefixtures("_claims")
def test_a_visitor_with_a_right_in_one_namespace_sees_that_one_alone_and_nobody_sees_anything_without_a_token(
    node: Node, address: str, python: str
) -> None:
    script = f"ARGUMENTS = {json.dumps([address, '/claims', '/blocks', '/'])!r}{ASK}"
    node.apply(pods.pod("asks-the-page", python, script, serviceAccountName=VISITOR))
    assert pods.wait_for_end(node, "asks-the-page")["exitCode"] == 0, pods.log(node, "asks-the-page")
    answers = json.loads(pods.log(node, "asks-the-page"))
    for path, (status, text) in answers.items():
        assert f"-in-{ELSEWHERE}" not in text, path
        assert status == (401 if path == "nobody" else 200), text
    assert f"claim-in-{pods.NAMESPACE}" in answers["/claims"][1]
    assert f"block-in-{pods.NAMESPACE}" in answers["/blocks"][1]
    assert f"-in-{pods.NAMESPACE}" not in answers["nobody"][1]


@pytest.mark.usefixtures("address")
def test_the_pod_of_the_page_has_no_token_and_its_account_no_right(node: Node) -> None:
    (pod,) = node.list_objects("pods", deployment.NAMESPACE, f"app={NAME}")
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == {"authority", "temporary"}
    account = f"--as=system:serviceaccount:{deployment.NAMESPACE}:{NAME}"
    assert "no" in node.kubectl("auth", "can-i", "list", "privatedatablocks", "-A", account, status=1).splitlines()
