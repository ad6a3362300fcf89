"""Hostile objects and edits on an API server, beside honest claims, which get what they would get without them.

The users have the tokens of their roles, and the controller is a process. The honest claims are created between the
attacks, the last one after all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from privatekube.resources import ledger, transitions
from privatekube.resources.wire import blocks, claims
from privatekube.store import kinds
from privatekube.store.kubernetes.ledger_chain import ENTRIES
from privatekube.store.kubernetes.store import RETIRED, KubernetesStore
from tests import builders, waiting
from tests.examples import chosen
from tests.fuzzing import budgets, honest, hostile
from tests.fuzzing.hostile import Attack, Creation, Edit, Removal
from tests.kubernetes.apiserver import RIVAL, ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.wire import Json, Wire, path_of
from tests.reconcile.harness import require_within

ATTACKS, ROUNDS, NIGHTLY_ROUNDS = 100, 3, 1000
"""Attacks in one round, and how many rounds: 300 attacks in all, and 100,000 in `make nightly`."""
LONGEST_SECONDS = 14_400
"""Of the 1,000 rounds of `make nightly`: 8 seconds each on two cores that have other work."""
ROUNDS_OF_A_CONTROLLER = 8
"""After so many a new controller starts with an empty ledger, which would else be too long to read in each round."""
BLOCKS, CLAIMS = kinds.BLOCK.plural, kinds.CLAIM.plural
OBJECTS = [(plural, namespace) for plural in (CLAIMS, BLOCKS) for namespace in (builders.NAMESPACE, "elsewhere")]


class Game:
    """A control plane with honest users and an adversary; each round has new blocks."""

    def __init__(self, server: ApiServer, store: KubernetesStore, start: Starter) -> None:
        self._store, self._start, self._controller = store, start, start("first")
        self._admin, self._owner = Wire(server), Wire(server, "data-owner")
        self._claimant, self._rival = Wire(server, "claimant"), Wire(server, RIVAL)
        self._rounds = 0
        self._own_blocks: list[str] = []
        self._own_claims: list[str] = []
        self._expected: Json = {}

    def play(self, attacks: Sequence[Attack]) -> None:
        """Make attacks between the creations of honest claims, and check what these get."""
        if self._rounds % ROUNDS_OF_A_CONTROLLER == 0:
            self._renew()
        try:
            assert self._outcome(attacks) == self._expected
            self._require_sound()
        finally:
            self._clear()

    def _renew(self) -> None:
        """Check the ledger and start again without it, with what the honest claims get when nobody attacks.

        Its entries are of data that the rounds removed without a record, so it is checked for its chain alone.
        """
        ledger.require_chain(self._store.ledger())
        self._controller.stop()
        for plural in (ENTRIES, RETIRED):
            self._admin.send("DELETE", path_of(plural))
        self._controller = self._start(f"after-{self._rounds}")
        waiting.until(self._controller.leads, self._controller.log)
        self._expected = self._outcome([])
        self._clear()

    def _outcome(self, attacks: Sequence[Attack]) -> Json:
        """Return the statuses of the honest claims of a new round, without times and random keys."""
        self._rounds += 1
        for block in (*honest.blocks(), *budgets.own_blocks()):
            self._require_created(self._owner, BLOCKS, blocks.to_wire(block))
        waiting.until(self._are_admitted, self._controller.log)
        asked = honest.claims()
        size = -(-len(attacks) // len(asked))
        for number, claim in enumerate(asked):
            for attack in attacks[number * size : (number + 1) * size]:
                self._make(attack)
            self._require_created(self._claimant, CLAIMS, claims.to_wire(claim))
        names = [claim.meta.name for claim in asked]
        statuses = {name: honest.without_key(self._status(self._renamed(name))) for name in names}
        text = json.dumps(honest.without_times(statuses))
        result: Json = json.loads(text.replace(f"honest-{self._rounds}-", "honest-"))
        return result

    def _make(self, attack: Attack) -> None:
        """Make an attack; what only others may do is refused."""
        match attack:
            case Creation(document):
                self._create(document, is_block=attack.is_block)
            case Removal(age) if self._own_blocks:
                name = hostile.aged(self._own_blocks, age)
                self._owner.send("DELETE", path_of(BLOCKS, builders.NAMESPACE, name))
            case Edit(age, operations, of_honest, of_status) if of_honest or self._own_claims:
                name = self._renamed(f"honest-{age}") if of_honest else hostile.aged(self._own_claims, age)
                path = path_of(CLAIMS, builders.NAMESPACE, name) + ("/status" if of_status else "")
                status, answer = self._rival.send("PATCH", path, self._renamed(operations))
                assert status >= 400 or not (of_honest or of_status), answer
            case _:
                pass  # there is nothing yet that it could be of

    def _create(self, document: Json, *, is_block: bool) -> None:
        user, plural = (self._owner, BLOCKS) if is_block else (self._rival, CLAIMS)
        namespace = document["metadata"]["namespace"] or builders.NAMESPACE
        status, answer = user.send("POST", path_of(plural, namespace), self._renamed(document))
        if status == 201 and namespace == builders.NAMESPACE:
            (self._own_blocks if is_block else self._own_claims).append(answer["metadata"]["name"])

    def _require_created(self, user: Wire, plural: str, document: Json) -> None:
        status, answer = user.send("POST", path_of(plural, builders.NAMESPACE), self._renamed(document))
        assert status == 201, answer

    def _renamed(self, value: Any) -> Any:
        """Return what is to be sent with the names and the digest of this round."""
        text = json.dumps(value).replace("honest-", f"honest-{self._rounds}-").replace("own-", f"own-{self._rounds}-")
        digest = hashlib.sha256(str(self._rounds).encode()).hexdigest()
        return json.loads(text.replace(honest.DIGEST, f"sha256:{digest}"))

    def _are_admitted(self) -> bool:
        return all("status" in self._read(BLOCKS, self._renamed(name)) for name in honest.BLOCKS)

    def _status(self, name: str) -> Json:
        """Return the status of an honest claim, after waiting until all of its requests have their answer."""

        def is_answered() -> bool:
            claim = self._read(CLAIMS, name)
            responses = claim.get("status", {}).get("responses", [])
            return len(responses) == len(claim["spec"]["requests"]) and responses[-1]["state"] != "pending"

        waiting.until(is_answered, self._controller.log)
        status: Json = self._read(CLAIMS, name)["status"]
        return {key: value for key, value in status.items() if key != "controllerEpoch"}

    def _read(self, plural: str, name: str) -> Json:
        return self._admin.send("GET", path_of(plural, builders.NAMESPACE, name))[1]

    def _require_sound(self) -> None:
        """Check that all blocks add up, and that no pass failed, no leader was lost and no defect showed."""
        for block in self._store.list_blocks():
            if block.status is not None:
                transitions.require_balance(block)
                require_within(block)
        _, metrics = self._controller.get("/metrics")
        failed = [line for line in metrics.splitlines() if line.startswith("privatekube_failed_passes_total")]
        assert not failed, self._controller.log()[-8000:]
        assert "privatekube_leader 1.0" in metrics
        assert self._controller.get("/healthz") == (200, "ok\n")
        messages = [str(entry["message"]) for entry in self._controller.log_entries()]
        assert messages.count("leads") == 1
        assert not self._defects()

    def _defects(self) -> list[str]:
        """Return the traces of errors that are not of this library: a bad object has to be refused by one that is."""
        traces = [str(entry.get("exc_info", "")) for entry in self._controller.log_entries()]
        last_lines = [trace.splitlines()[-1] for trace in traces if trace]
        return [line for line in last_lines if not line.startswith("privatekube.errors.")]

    def _clear(self) -> None:
        """Delete all blocks and claims, despite their finalizers."""
        self._own_blocks, self._own_claims = [], []
        waiting.until(self._is_cleared, self._controller.log)

    def _is_cleared(self) -> bool:
        left = 0
        for plural, namespace in OBJECTS:
            items = self._admin.send("GET", path_of(plural, namespace))[1]["items"]
            left += len(items)
            for item in items:
                if "finalizers" in item["metadata"]:
                    remove = [{"op": "remove", "path": "/metadata/finalizers"}]
                    self._admin.send("PATCH", path_of(plural, namespace, item["metadata"]["name"]), remove)
            if items:
                self._admin.send("DELETE", path_of(plural, namespace))
        return left == 0


@pytest.mark.kubernetes
@pytest.mark.slow
@pytest.mark.timeout(LONGEST_SECONDS)
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_hostile_objects_take_nothing_from_honest_claims(
    apiserver: ApiServer, store: KubernetesStore, start: Starter
) -> None:
    game = Game(apiserver, store, start)

    @given(attacks=hostile.attacks(ATTACKS))
    @settings(
        max_examples=chosen(quick=ROUNDS, nightly=NIGHTLY_ROUNDS),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        print_blob=True,
    )
    def rounds(attacks: list[Attack]) -> None:
        game.play(attacks)

    rounds()
    ledger.require_chain(store.ledger())
