"""What was paid for is published, in clear, once, and nothing else."""

from __future__ import annotations

import shutil

import pytest

from components.release.__main__ import release
from components.upload.__main__ import upload
from pipelines import dp_lstm
from privatekube import errors
from privatekube.data import stored_block
from privatekube.data.metadata import content_digest
from privatekube.engine import sealing_keys
from privatekube.steps import arguments, documents, sealing
from tests.components.run_steps import Run, committed


def test_nothing_published_is_a_digest_of_the_merged_data(run: Run) -> None:
    run.to_the_end()
    run.consume()
    merged = stored_block.read_reviews(run.path("dataset"))
    plain = content_digest(merged.reviews, merged.metadata)
    digests = [digest.rpartition(":")[2].encode() for digest in (merged.digest, plain)]
    for path in run.upload().iterdir():
        assert not any(digest in path.read_bytes() for digest in digests)


def test_a_run_that_was_copied_with_its_releases_publishes_the_same_release(run: Run) -> None:
    run.to_the_end()
    copied = Run(run.folder / "copy", run.client)
    shutil.copytree(run.path(""), copied.path(""))
    assert run.consume() == copied.consume()
    assert committed(run.client) == [1.0, 1.0]
    first, second = ({file.name: file.read_bytes() for file in each.upload().iterdir()} for each in (run, copied))
    assert first == second


@pytest.mark.parametrize("name", ["grant", "statistics", "checkpoint", "metrics"])
def test_what_the_receipt_did_not_pay_for_is_not_published(run: Run, name: str) -> None:
    run.to_the_end()
    run.consume()
    run.path(name).write_bytes(run.path(name).read_bytes() + b" ")
    fault = "is not what the receipt paid for" if name == "grant" else "is damaged: it is not as it was sealed"
    with pytest.raises((errors.BudgetExceeded, errors.CorruptData), match=f"{name} {fault}"):
        run.upload()
    assert not list((run.folder / "out").iterdir())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["model.pt"], "names: 1 must be 3"),
        (["a.json", "a.json", "b.json"], "names: 'a.json' is the name of another published file"),
        (["a.json", "b.json", "receipt.json"], "names: 'receipt.json' is the name of another published file"),
    ],
)
def test_released_files_are_published_under_names_of_their_own(run: Run, names: list[str], message: str) -> None:
    run.to_the_end()
    run.consume()
    with pytest.raises(errors.InvalidInput, match=message):
        run.upload(*names)
    assert not list((run.folder / "out").iterdir())
    words = {"--grant": "g", "--receipt": "r", "--released": "a", "--names": '["../a"]', "--images": "{}"}
    pairs = {**words, "--prefix": "out", "--location": "l"}.items()
    with pytest.raises(errors.InvalidInput, match=r"names.0: '../a' must match pattern"):
        arguments.parse(upload, [word for pair in pairs for word in pair])


def test_what_an_earlier_version_released_in_clear_is_published(run: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing_keys, "of_grant", lambda _draft, _claim: None)  # the claim is granted without a key
        run.to_the_end()
    assert not any(sealing.is_sealed(run.path(name)) for name in dp_lstm.PUBLISHED)
    run.consume()
    folder = run.upload()
    for name, published in dp_lstm.PUBLISHED.items():
        assert (folder / published).read_bytes() == run.path(name).read_bytes()


def test_what_is_published_is_the_release_in_clear_and_nothing_can_be_published_without_the_key(run: Run) -> None:
    run.to_the_end()
    with pytest.raises(errors.BudgetUnavailable, match="stays sealed; consume it first"):
        run.client.opening_key("ns/run-r1")
    run.consume()
    claim = run.client.get_claim("ns/run-r1")
    assert claim.status.sealing is not None
    assert claim.status.sealing.private is None  # a payment alone opens nothing: it may be of a run that was refused
    clear = {name: run.clear(name).read_bytes() for name in dp_lstm.PUBLISHED}
    folder = run.upload()
    assert {name: (folder / published).read_bytes() for name, published in dp_lstm.PUBLISHED.items()} == clear
    run.client.store.delete(run.client.get_claim("ns/run-r1"))
    with pytest.raises(errors.NotFound, match="claim ns/run-r1"):
        run.upload()


@pytest.mark.parametrize("name", ["statistics", "metrics"])
def test_a_sealed_file_of_another_run_is_not_published(run: Run, name: str) -> None:
    run.to_the_end()
    run.consume()
    sealed, other = run.path(name), sealing.Origin("ns/run-r1", "r2", "dp_preprocess")
    sealing.seal(run.clear(name), sealed, key=sealing.read_header(sealed).key, origin=other)
    with pytest.raises(
        errors.InvalidInput, match=r"was sealed by dp_preprocess of run r2 .*, not by dp_preprocess of run r1"
    ):
        run.upload()


def test_the_outputs_of_a_run_that_fails_stay_sealed_though_its_budget_is_consumed(run: Run) -> None:
    run.to_the_end()
    release(run_id="r1", namespace="ns", workspace=run.workspace, status={"state": "FAILED"})
    claim = run.client.get_claim("ns/run-r1")
    assert claim.status.committed
    assert claim.status.sealing is not None
    assert claim.status.sealing.private is None
    assert not list(run.workspace.iterdir())
    run.consume()  # as `privatekube publish` does: it compares what was released with what was approved
    assert run.upload()


def test_publishing_needs_this_runs_receipt(run: Run) -> None:
    run.to_the_end()
    receipt = run.consume().model_copy(update={"run_id": "r2"})
    documents.write(receipt, run.path("receipt"))
    with pytest.raises(errors.InvalidInput, match="pass the receipt of this run"):
        run.upload()


def test_another_runs_results_are_never_overwritten(run: Run) -> None:
    run.to_the_end()
    run.consume()
    folder = run.upload()
    (folder / "metrics.json").write_text("{}")
    with pytest.raises(errors.AlreadyExists, match="has another result"):
        run.upload()
