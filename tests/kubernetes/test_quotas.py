"""Quotas on a real API server with real tokens: who writes them, who claims for a team, and what a team gets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.quota import PrivacyBudgetQuota, QuotaSpec
from privatekube.resources.requester import Requester
from privatekube.resources.wire import claims, quotas
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.kubernetes import attacks
from tests.kubernetes.apiserver import RIVAL, USERS_NAMESPACE, ApiServer
from tests.reconcile.harness import Plane

pytestmark = pytest.mark.kubernetes

ADS = PrivacyBudgetQuota(ObjectMeta("ads", "ns"), QuotaSpec("d", team="ads", share=0.5))
OF = ("pbq", "ads", "-n", "ns")


def of_team(name: str, epsilon: float, team: str | None) -> PrivacyBudgetClaim:
    claim = builders.claim(name, builders.allocate(epsilon))
    return replace(claim, spec=replace(claim.spec, requester=Requester(team=team)))


def test_only_a_data_owner_writes_quotas_and_a_bad_one_is_refused(apiserver: ApiServer, store: KubernetesStore) -> None:
    document = quotas.to_wire(ADS)
    for user in ("claimant", "viewer", "administrator", "controller"):
        assert attacks.FORBIDDEN in attacks.create(apiserver, document, user=user, status=1)
    apiserver.add_user("quota-writer")
    rule = ("--verb=create,update,patch,delete,get", "--resource=privacybudgetquotas.columbia.github.com")
    apiserver.kubectl("create", "clusterrole", "quota-writer", *rule)
    account = f"--serviceaccount={USERS_NAMESPACE}:quota-writer"
    apiserver.kubectl("create", "clusterrolebinding", "quota-writer", "--clusterrole=quota-writer", account)
    waiting.until(lambda: apiserver.may("quota-writer", "create", "privacybudgetquotas.columbia.github.com"))
    assert "data owners only" in attacks.create(apiserver, document, user="quota-writer", status=1)
    for wrong, fault in (
        ({"dataset": "d"}, "give either share or epsilon"),
        ({"dataset": "d", "share": 1.5}, "less than or equal to 1"),
        ({"dataset": "d", "share": 0.5, "period": "day"}, "Unsupported value"),
        ({"dataset": "d", "share": 0.5, "weight": 2}, "weight is of a team"),
        ({"dataset": "d", "share": 0.5, "team": "a b"}, "spec.team"),
    ):
        assert fault in attacks.create(apiserver, {**document, "spec": wrong}, user="data-owner", status=1)
    attacks.create(apiserver, document, user="data-owner")
    assert store.list_quotas()[0].spec == ADS.spec
    for user in ("claimant", "administrator", "controller", "quota-writer"):
        assert attacks.patch(apiserver, {"spec": {"share": 1}}, user=user, of=OF)
    assert "data owners only" in apiserver.kubectl("delete", *OF, user="quota-writer", status=1)
    store.put_quota(replace(ADS, spec=replace(ADS.spec, share=0.25)))
    assert store.list_quotas()[0].spec.share == 0.25
    apiserver.kubectl("delete", *OF, user="data-owner")


def test_a_user_claims_only_for_teams_of_theirs_and_the_team_gets_no_more_than_its_quota(
    apiserver: ApiServer, store: KubernetesStore
) -> None:
    plane = Plane(store)
    plane.block("b", EpsilonDelta(1.0, 1e-6))
    attacks.create(apiserver, claims.to_wire(of_team("before", 0.1, None)), user="claimant")
    store.put_quota(ADS)
    store.put_quota(PrivacyBudgetQuota(ObjectMeta("fraud", "ns"), QuotaSpec("d", team="fraud", share=0.5)))
    apiserver.kubectl("apply", "-f", "-", stdin=ROLE)
    try:
        unnamed = claims.to_wire(of_team("unnamed", 0.1, None))
        waiting.until(lambda: "spec.team: absent" in _refused(apiserver, unnamed, "claimant"))
        for user, team in ((RIVAL, "ads"), ("claimant", "fraud"), ("claimant", "other")):
            refused = attacks.create(apiserver, claims.to_wire(of_team("wrong", 0.1, team)), user=user, status=1)
            assert f"spec.team: {team} must be a team for which" in refused
        for_ads = claims.to_wire(of_team("for-ads", 0.1, "ads"))
        waiting.until(lambda: not _refused(apiserver, for_ads, "claimant"))
        for name in ("1", "2", "3"):
            attacks.create(apiserver, claims.to_wire(of_team(f"ads-{name}", 0.2, "ads")), user="claimant")
        plane.run()
        assert [plane.states(f"ads-{name}") for name in ("1", "2", "3")] == [["success"], ["success"], ["pending"]]
        assert plane.states("before") == ["failure"]
    finally:
        apiserver.kubectl("delete", "-f", "-", stdin=ROLE)


def _refused(apiserver: ApiServer, document: attacks.Json, user: str) -> str:
    """Return what the server says to a claim that is tried only; nothing if it would accept it."""
    try:
        apiserver.kubectl("create", "--dry-run=server", "-f", "-", user=user, stdin=json.dumps(document))
    except AssertionError as refused:
        return str(refused)
    return ""


ROLE = f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: claims-for-ads, namespace: ns}}
rules:
- {{apiGroups: [columbia.github.com], resources: [teams], resourceNames: [ads], verbs: [claim]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: claims-for-ads, namespace: ns}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: claims-for-ads}}
subjects:
- {{kind: ServiceAccount, name: claimant, namespace: {USERS_NAMESPACE}}}
"""
