"""A DP step releases once: it registers its release before the outputs leave, and a repetition keeps the first one."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from privatekube import errors
from privatekube.client import connect
from privatekube.client.client import BudgetClient
from privatekube.engine import sealing_keys
from privatekube.privacy import events
from privatekube.resources.requests import RegisterRequest
from privatekube.steps import clear_inputs, documents, dp_step, paid_releases, sealing
from privatekube.steps.staged_release import StagedRelease
from privatekube.storage import local_files
from tests import builders
from tests.steps.builders import DIGEST, grant, spend

EVENT = events.discrete_laplace(20.0, 1)
METRICS = documents.Metrics(
    accuracy=documents.Estimate(estimate=0.5, low=0.25, high=0.75),
    task="product",
    model="lstm",
    noise=documents.CountNoise(scale=20.0, sensitivity=1),
)
CLAIM = "ns/run-r1"


def digest(path: Path) -> str:
    return sealing.released_digest(path)


def clear(paths: dict[str, Any], output: Path) -> bytes:
    """Return what an output has in clear, as a later step of the run reads it."""
    assert sealing.is_sealed(output)
    return clear_inputs.find(paths["workspace"], output).read_bytes()


class Mechanism:
    """Draws an output that differs from call to call, like noise, and counts its calls."""

    def __init__(self, *contents: documents.Document | bytes, private: tuple[bytes, ...] = ()) -> None:
        self.contents, self.private, self.calls = contents, private, 0

    def __call__(self, granted: documents.Grant) -> dp_step.Release:
        assert granted.claim == CLAIM
        self.calls += 1
        noise = f"{self.calls}".encode()
        drawn = tuple(content + noise if isinstance(content, bytes) else content for content in self.contents)
        return dp_step.Release(EVENT, drawn, self.private)


def approved_grant(client: BudgetClient) -> documents.Grant:
    """The Grant that states the key of the claim."""
    sealing_key = client.get_claim(CLAIM).status.sealing
    return grant(sealing_key=None if sealing_key is None else sealing_key.public)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BudgetClient]:
    """A store with a claim that was granted, whose run was approved, and whose data is opened."""
    monkeypatch.setenv(connect.STORE, f"sqlite:///{tmp_path}/state.db")
    with connect.connect() as client:
        client.create_blocks([builders.block()])
        client.allocate("ns", "run-r1", builders.allocate(0.5), timeout_seconds=5)
        approved = documents.digest(documents.encode(approved_grant(client)))
        client.register_release(CLAIM, RegisterRequest(paid_releases.APPROVAL, (approved,)))
        client.mark_opened(CLAIM)
        yield client


@pytest.fixture
def paths(client: BudgetClient, tmp_path: Path) -> dict[str, Any]:
    documents.write(approved_grant(client), tmp_path / "grant")
    (tmp_path / "checkpoint").write_text("noisy")
    client.register_release(CLAIM, RegisterRequest("dp_train", (digest(tmp_path / "checkpoint"),), event="noise"))
    return {
        "grant": tmp_path / "grant",
        "workspace": tmp_path / "workspace",
        "noisy_inputs": (tmp_path / "checkpoint",),
        "outputs": (tmp_path / "out" / "metrics", tmp_path / "out" / "bytes"),
        "spend": tmp_path / "out" / "spend",
    }


def release_of(client: BudgetClient, step: str = "dp_evaluate") -> RegisterRequest | None:
    return client.get_claim(CLAIM).releases.get(step)


def test_the_outputs_and_the_spend_are_written_and_registered(client: BudgetClient, paths: dict[str, Any]) -> None:
    dp_step.run("dp_evaluate", Mechanism(METRICS, b"bytes"), **paths)
    metrics, content = paths["outputs"]
    assert documents.Metrics.model_validate_json(clear(paths, metrics)) == METRICS
    assert clear(paths, content) == b"bytes1"
    inputs = [digest(paths["grant"]), digest(paths["noisy_inputs"][0])]
    assert json.loads(paths["spend"].read_text()) == {
        "schema_version": 4,
        "step": "dp_evaluate",
        "claim": CLAIM,
        "part": "test",
        "event": events.to_json(EVENT),
        "inputs": inputs,
        "outputs": [digest(metrics), digest(content)],
    }
    assert sorted(file.name for file in metrics.parent.iterdir()) == ["bytes", "metrics", "spend"]
    registered = release_of(client)
    assert registered is not None
    assert (registered.inputs, registered.outputs) == (tuple(inputs), (digest(metrics), digest(content)))
    assert json.loads(registered.event or "") == events.to_json(EVENT)


def test_private_outputs_are_written_and_nothing_about_them_is_registered(
    client: BudgetClient, paths: dict[str, Any], tmp_path: Path
) -> None:
    private = tmp_path / "out" / "dataset"
    dp_step.run("dp_evaluate", Mechanism(METRICS, b"x", private=(b"secret",)), **paths, private_outputs=(private,))
    assert private.read_bytes() == b"secret"
    assert documents.digest(b"secret") not in str(client.get_claim(CLAIM))


def test_a_repetition_draws_no_noise_and_keeps_the_first_output(
    paths: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    mechanism = Mechanism(METRICS, b"bytes")
    for _ in range(2):
        dp_step.run("dp_evaluate", mechanism, **paths)
    assert mechanism.calls == 1
    assert clear(paths, paths["outputs"][1]) == b"bytes1"
    assert capsys.readouterr().out == "finished before with the same inputs: its output is kept\n"


class Died(Exception):  # noqa: N818 - not an error of the step
    """The process died."""


def die(*_given: Any, **_named: Any) -> None:
    raise Died


@contextlib.contextmanager
def dying_at(place: object, name: str, call: Callable[..., Any]) -> Iterator[None]:
    """Have the process die in a function, and go on after that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, call)
        try:
            yield
        except Died:
            return
    raise AssertionError("it did not die")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (StagedRelease, "write"),
        (BudgetClient, "register_release"),
        (StagedRelease, "hand_over"),
    ],
    ids=["while it keeps its release", "before it registers", "before the outputs"],
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_step_that_dies_anywhere_releases_what_it_registered(
    client: BudgetClient, paths: dict[str, Any], place: type, name: str, after: bool
) -> None:
    mechanism, call = Mechanism(METRICS, b"bytes"), getattr(place, name)
    with dying_at(place, name, lambda *given, **named: die(call(*given, **named) if after else None)):
        dp_step.run("dp_evaluate", mechanism, **paths)
    before = release_of(client)
    dp_step.run("dp_evaluate", mechanism, **paths)
    registered = release_of(client)
    assert registered is not None
    assert registered.outputs == tuple(map(digest, paths["outputs"]))
    assert before in (None, registered)
    assert sorted(file.name for file in paths["spend"].parent.iterdir()) == ["bytes", "metrics", "spend"]


@pytest.mark.parametrize("n_files", [0, 1, 2])
def test_a_step_that_dies_between_two_outputs_writes_the_same_ones_again(paths: dict[str, Any], n_files: int) -> None:
    mechanism, replacing = Mechanism(METRICS, b"bytes"), local_files.replacing
    written: list[Path] = []

    def dying(path: Path, **named: Any) -> contextlib.AbstractContextManager[BinaryIO]:
        if path in (*paths["outputs"], paths["spend"]):
            if len(written) == n_files:
                raise Died
            written.append(path)
        return replacing(path, **named)

    with dying_at(local_files, "replacing", dying):
        dp_step.run("dp_evaluate", mechanism, **paths)
    dp_step.run("dp_evaluate", mechanism, **paths)
    assert mechanism.calls == 1
    assert clear(paths, paths["outputs"][1]) == b"bytes1"


def elsewhere(folder: Path) -> dict[str, Any]:
    """Return the paths of a second execution of the step, on a machine that does not see the first one's workspace."""
    outputs = (folder / "2" / "metrics", folder / "2" / "bytes")
    return {"outputs": outputs, "spend": folder / "2" / "spend", "workspace": folder / "other"}


def test_a_step_whose_pod_is_lost_after_it_handed_over_hands_over_the_same_release_again(
    paths: dict[str, Any], tmp_path: Path
) -> None:
    mechanism, private = Mechanism(METRICS, b"bytes", private=(b"secret",)), (tmp_path / "workspace" / "dataset",)
    dp_step.run("dp_evaluate", mechanism, **paths, private_outputs=private)
    second = elsewhere(tmp_path) | {"workspace": paths["workspace"]}
    dp_step.run("dp_evaluate", mechanism, **paths | second, private_outputs=private)
    assert mechanism.calls == 1
    for one, other in zip((*paths["outputs"], paths["spend"]), (*second["outputs"], second["spend"]), strict=True):
        assert digest(one) == digest(other)
    shutil.rmtree(tmp_path / "2")
    private[0].unlink()
    with pytest.raises(errors.BudgetExceeded, match="its private output dataset is gone; start a new run"):
        dp_step.run("dp_evaluate", mechanism, **paths | second, private_outputs=private)


def test_a_step_in_a_second_folder_is_refused_and_leaves_nothing(paths: dict[str, Any], tmp_path: Path) -> None:
    dp_step.run("dp_evaluate", Mechanism(METRICS, b"bytes"), **paths)
    second = elsewhere(tmp_path)
    mechanism = Mechanism(METRICS, b"bytes")
    with pytest.raises(errors.BudgetExceeded, match=r"dp_evaluate has released already.*: start a new run"):
        dp_step.run("dp_evaluate", mechanism, **paths | second)
    assert mechanism.calls == 0
    assert not (tmp_path / "2").exists()


def test_of_two_folders_that_draw_at_the_same_time_one_is_refused_and_leaves_nothing(
    client: BudgetClient, paths: dict[str, Any], tmp_path: Path
) -> None:
    second = elsewhere(tmp_path)

    def overtaken(granted: documents.Grant) -> dp_step.Release:
        dp_step.run("dp_evaluate", Mechanism(METRICS, b"bytes"), **paths)
        return dp_step.Release(EVENT, (METRICS, b"other"))

    with pytest.raises(errors.BudgetExceeded, match=r"dp_evaluate has released something else.*: start a new run"):
        dp_step.run("dp_evaluate", overtaken, **paths | second)
    assert not (tmp_path / "2").exists()
    assert not list((tmp_path / "other").rglob("*.json"))
    registered = release_of(client)
    assert registered is not None
    assert registered.outputs == tuple(map(digest, paths["outputs"]))


def test_a_claim_that_is_settled_while_noise_is_drawn_lets_nothing_leave(
    client: BudgetClient, paths: dict[str, Any]
) -> None:
    def settled_meanwhile(granted: documents.Grant) -> dp_step.Release:
        client.settle(granted.claim)
        return dp_step.Release(EVENT, (METRICS, b"bytes"))

    with pytest.raises(errors.BudgetUnavailable, match="dp_evaluate must not release"):
        dp_step.run("dp_evaluate", settled_meanwhile, **paths)
    assert not paths["spend"].parent.exists()
    assert not list(paths["workspace"].rglob("*.json"))


@pytest.mark.parametrize("change", [{"delta": 1e-5}, {"epsilon": 9.0}, {"claim": "ns/other"}, {"settings": {}}])
def test_a_changed_grant_is_refused_before_noise_is_drawn(
    client: BudgetClient, paths: dict[str, Any], change: dict[str, Any]
) -> None:
    client.allocate("ns", "other", builders.allocate(0.1), timeout_seconds=5)
    documents.write(approved_grant(client).model_copy(update=change), paths["grant"])
    mechanism = Mechanism(METRICS, b"bytes")
    with pytest.raises(errors.BudgetExceeded, match="grant: is not the one that was approved"):
        dp_step.run("dp_evaluate", mechanism, **paths)
    assert mechanism.calls == 0


@pytest.mark.parametrize("key", [None, f"x25519:{1:064x}"], ids=["none", "another"])
def test_a_grant_that_does_not_state_the_key_of_its_claim_is_refused_before_noise_is_drawn(
    client: BudgetClient, paths: dict[str, Any], key: str | None
) -> None:
    client.allocate("ns", "run-r2", builders.allocate(0.1), timeout_seconds=5)
    client.mark_opened("ns/run-r2")
    forged = grant(claim="ns/run-r2", sealing_key=key)
    documents.write(forged, paths["grant"])
    approved = documents.digest(documents.encode(forged))
    client.register_release("ns/run-r2", RegisterRequest(paid_releases.APPROVAL, (approved,)))
    mechanism = Mechanism(METRICS, b"bytes")
    with pytest.raises(errors.BudgetExceeded, match=r"sealing_key: the run states .*, and x25519:.* was approved"):
        dp_step.run("dp_evaluate", mechanism, **paths | {"noisy_inputs": ()})
    assert mechanism.calls == 0


def test_nothing_that_leaves_a_step_can_be_read_before_its_claim_has_paid(
    client: BudgetClient, paths: dict[str, Any], tmp_path: Path
) -> None:
    dp_step.run("dp_evaluate", Mechanism(METRICS, b"marker of a model"), **paths)
    outside = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(outside) == 3
    for path in outside:
        assert b"accuracy" not in path.read_bytes()
        assert b"marker" not in path.read_bytes()
    with pytest.raises(errors.BudgetUnavailable, match="stays sealed; consume it first"):
        client.opening_key(CLAIM)
    client.consume(CLAIM)
    key = client.opening_key(CLAIM)
    assert key is not None
    origin = sealing.Origin(CLAIM, "r1", "dp_evaluate")
    sealing.open_sealed(paths["outputs"][1], tmp_path / "opened", key=key, origin=origin)
    assert (tmp_path / "opened").read_bytes() == b"marker of a model1"


def test_a_claim_that_an_earlier_version_granted_has_its_outputs_in_clear(
    client: BudgetClient, paths: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing_keys, "of_grant", lambda _draft, _claim: None)
    client.allocate("ns", "old", builders.allocate(0.1), timeout_seconds=5)
    client.mark_opened("ns/old")
    documents.write(grant(claim="ns/old"), paths["grant"])
    client.register_release("ns/old", RegisterRequest(paid_releases.APPROVAL, (digest(paths["grant"]),)))
    for _ in range(2):
        dp_step.run(
            "dp_evaluate", lambda _grant: dp_step.Release(EVENT, (METRICS, b"x")), **paths | {"noisy_inputs": ()}
        )
    assert documents.read(documents.Metrics, paths["outputs"][0]) == METRICS
    client.consume("ns/old")
    assert client.opening_key("ns/old") is None


def test_an_input_that_was_not_released_is_refused_and_its_digest_is_not_published(
    client: BudgetClient, paths: dict[str, Any]
) -> None:
    paths["noisy_inputs"][0].write_text("un-noised")
    mechanism = Mechanism(METRICS, b"bytes")
    with pytest.raises(errors.BudgetExceeded, match="input: one was not released under claim"):
        dp_step.run("dp_evaluate", mechanism, **paths)
    assert mechanism.calls == 0
    assert documents.digest(b"un-noised") not in str(client.get_claim(CLAIM))


def test_a_claim_that_holds_nothing_pays_for_no_step(client: BudgetClient, paths: dict[str, Any]) -> None:
    client.consume(CLAIM)
    mechanism = Mechanism(METRICS, b"bytes")
    with pytest.raises(errors.BudgetUnavailable, match="holds no budget"):
        dp_step.run("dp_evaluate", mechanism, **paths)
    assert mechanism.calls == 0


def test_a_lost_or_a_changed_output_or_other_inputs_are_a_second_release(paths: dict[str, Any]) -> None:
    mechanism = Mechanism(METRICS, b"bytes")
    dp_step.run("dp_evaluate", mechanism, **paths)
    first = paths["outputs"][1].read_bytes()
    for content in (None, b"other"):
        paths["outputs"][1].unlink()
        if content is not None:
            paths["outputs"][1].write_bytes(content)
        with pytest.raises(errors.BudgetExceeded, match="second release"):
            dp_step.run("dp_evaluate", mechanism, **paths)
        paths["outputs"][1].write_bytes(first)
    paths["noisy_inputs"][0].write_text("other")
    with pytest.raises(errors.BudgetExceeded, match="second release"):
        dp_step.run("dp_evaluate", mechanism, **paths)
    assert mechanism.calls == 1


def test_a_kept_release_that_was_changed_does_not_leave(paths: dict[str, Any]) -> None:
    with dying_at(BudgetClient, "register_release", die):
        dp_step.run("dp_evaluate", Mechanism(METRICS, b"bytes"), **paths)
    kept = StagedRelease.of("dp_evaluate", paths["workspace"]).folder
    assert kept.stat().st_mode & 0o777 == 0o700
    (kept / "1").write_bytes(b"other")
    with pytest.raises(errors.CorruptData, match="is not what dp_evaluate released"):
        dp_step.run("dp_evaluate", Mechanism(METRICS, b"bytes"), **paths)


def test_an_output_that_cannot_be_written_leaves_no_spend(paths: dict[str, Any]) -> None:
    paths["outputs"][1].mkdir(parents=True)
    with pytest.raises(errors.InvalidInput):
        dp_step.run("dp_evaluate", Mechanism(METRICS, b"bytes"), **paths)
    assert not paths["spend"].exists()


def test_every_output_needs_its_content(client: BudgetClient, paths: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="contents: 1 must be 2"):
        dp_step.run("dp_evaluate", Mechanism(METRICS), **paths)
    with pytest.raises(errors.InvalidInput, match="private: 0 must be 1"):
        dp_step.run("dp_evaluate", Mechanism(METRICS, b"x"), **paths, private_outputs=(tmp_path / "dataset",))
    assert not paths["spend"].exists()
    assert release_of(client) is None


def test_a_step_without_a_spend_has_not_finished(tmp_path: Path) -> None:
    path = tmp_path / "spend"
    assert not dp_step.is_finished(path, claim="c", inputs=("i",), outputs=())
    path.touch()
    assert not dp_step.is_finished(path, claim="c", inputs=("i",), outputs=())


def test_a_step_with_its_spend_and_outputs_is_not_repeated(tmp_path: Path) -> None:
    output = tmp_path / "statistics.json"
    output.write_text("{}")
    documents.write(spend(output=digest(output)), tmp_path / "spend")
    assert dp_step.is_finished(tmp_path / "spend", claim=CLAIM, inputs=(DIGEST,), outputs=(output,))


def test_a_spend_of_another_claim_does_not_count(tmp_path: Path) -> None:
    documents.write(spend(claim="ns/run-r0"), tmp_path / "spend")
    assert not dp_step.is_finished(tmp_path / "spend", claim=CLAIM, inputs=(DIGEST,), outputs=())
