"""The granted blocks, and no others, are fetched, checked, handed on and trained on as the Grant says."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.data import block_file, word_vectors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.meta import ObjectMeta
from privatekube.training import checkpoint
from tests.components.run_steps import ALL_SETTINGS, Run, declared_block, synthetic_block


def test_a_step_reads_the_granted_blocks_and_no_others(run: Run) -> None:
    run.allocate(run_id="r0", conditions=[{"attribute": "startTime", "operation": ">=", "numericValue": "1"}])
    run.download()
    run.allocate()
    with pytest.raises(errors.CorruptData, match="is of other blocks"):
        run.preprocess()
    run.download()
    column = run.path("blocks") / "000.npy"
    column.write_bytes(column.read_bytes()[:-1] + b"7")
    with pytest.raises(errors.CorruptData, match="altered"):
        run.preprocess()


def test_the_reviews_are_handed_on_without_a_copy_and_stay_when_those_of_download_are_removed(run: Run) -> None:
    run.allocate()
    for step in (run.download, run.preprocess):
        step()
    handed_on = {path.name: path.stat().st_ino for path in run.path("dataset").iterdir()}
    assert handed_on == {path.name: path.stat().st_ino for path in run.path("blocks").iterdir()}
    shutil.rmtree(run.path("blocks"))
    run.train()


def test_a_block_that_fails_leaves_nothing_of_the_others_in_the_workspace(run: Run) -> None:
    run.allocate()
    (run.folder / "1.h5").unlink()
    with pytest.raises(errors.NotFound):
        run.download()
    assert list(run.workspace.iterdir()) == []


def test_downloaded_blocks_can_be_read_by_their_owner_alone(run: Run) -> None:
    run.allocate()
    before = os.umask(0o022)
    try:
        run.download()
    finally:
        os.umask(before)
    paths = [run.path("blocks"), *run.path("blocks").iterdir()]
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o700, *[0o600] * (len(paths) - 1)]


def test_a_tampered_block_is_found_and_named(run: Run) -> None:
    run.allocate()
    synthetic_block(run.folder / "0.h5", 7)
    with pytest.raises(errors.CorruptData, match=r"/0\.h5 .*altered"):
        run.download()


def test_a_missing_block_file_is_named_with_its_block_and_who_can_bring_it_back(run: Run) -> None:
    run.allocate()
    (run.folder / "1.h5").unlink()
    said = r"^block ns/\S+: \S+/1\.h5 does not exist; ask the owner of the data for it$"
    with pytest.raises(errors.NotFound, match=said):
        run.download()


def test_the_model_is_trained_as_the_grant_says(run: Run) -> None:
    run.allocate(settings=ALL_SETTINGS | {"task": "sentiment", "model": "feedforward", "hidden_dim": 7})
    for step in (run.download, run.preprocess, run.train):
        step()
    trained = checkpoint.load(run.clear("checkpoint"))
    assert (trained.task, trained.config.n_classes) == ("sentiment", 2)
    assert (trained.config.architecture, trained.config.hidden_dim) == ("feedforward", 7)


def test_vectors_of_other_words_than_those_of_the_blocks_are_found_before_the_data_is_opened(run: Run) -> None:
    run.allocate(settings=ALL_SETTINGS | {"model": "linear"} | _vectors(run.folder / "vectors.txt"))
    with pytest.raises(errors.InvalidInput, match="need the shipped list of words, and the data has another; set none"):
        run.download()


def test_a_model_is_trained_on_the_vectors_that_were_fetched_with_the_blocks(run: Run) -> None:
    run.client.create_blocks([declared_block(run.folder, 7, words=word_vectors.WORDS_DIGEST)])
    source = run.folder / "vectors.txt"
    stated = ALL_SETTINGS | {"model": "lstm"} | _vectors(source)
    run.allocate(settings=stated, conditions=[{"attribute": "startTime", "operation": ">=", "numericValue": "7"}])
    run.download()
    source.unlink()
    run.preprocess()
    run.train()
    trained = checkpoint.load(run.clear("checkpoint"))
    assert trained.config.embeddings == stated["embeddings_digest"]
    assert trained.module.get_buffer("vectors.weight").any()


def _vectors(path: Path) -> dict[str, str]:
    path.write_text("the 1 2 3 4\nof 5 6 7 8\n")
    return {"embeddings": str(path), "embeddings_digest": word_vectors.digest(str(path))}


def test_blocks_that_cannot_be_merged_are_found_before_their_data_counts_as_opened(run: Run) -> None:
    path = run.folder / "other.h5"
    content = block_file.read(run.folder / "0.h5")
    block_file.write(path, content.reviews, replace(content.metadata, categories=("a", "b", "c", "d")))
    dimensions = (Dimension("startTime", numeric_value="9"), Dimension("unit", string_value="event"))
    spec = BlockSpec(EpsilonDelta(3, 1e-7), "d", f"file://{path}", dimensions)
    run.client.create_blocks([PrivateDataBlock(ObjectMeta("other", "ns"), spec)])
    run.allocate()
    with pytest.raises(errors.InvalidInput, match="categories differs"):
        run.download()
    assert not run.client.get_claim("ns/run-r1").spec.data_opened


def test_a_task_without_two_classes_is_found_before_the_data_counts_as_opened(run: Run) -> None:
    path = run.folder / "0.h5"
    content = block_file.read(path)
    one = content.reviews.select(content.reviews.category == 0)
    block_file.write(run.folder / "one.h5", one, replace(content.metadata, dataset="one", categories=("a",)))
    dimensions = (Dimension("unit", string_value="event"),)
    spec = BlockSpec(EpsilonDelta(3, 1e-7), "one", f"file://{run.folder}/one.h5", dimensions)
    run.client.create_blocks([PrivateDataBlock(ObjectMeta("one", "ns"), spec)])
    run.allocate(dataset="one")
    with pytest.raises(errors.InvalidInput, match="task: 'product' needs blocks of two categories or more"):
        run.download()
    assert not run.client.get_claim("ns/run-r1").spec.data_opened
