from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from privatekube import errors
from privatekube.data import columns, stored_block
from privatekube.data.metadata import Block
from privatekube.privacy.unit import PrivacyUnit
from privatekube.training import examples
from tests.data import test_block_file
from tests.training import builders

CPU = torch.device("cpu")


def prepared(data: columns.Reviews, **changes: object) -> examples.Examples:
    options: dict[str, object] = {
        "task": "product",
        "unit": PrivacyUnit.EVENT,
        "max_contribution": 1,
        "model": builders.config(),
    }
    return examples.prepare(data, **(options | changes))  # type: ignore[arg-type]


def test_each_chosen_unit_is_in_one_batch_with_all_its_reviews() -> None:
    data = builders.learnable_reviews(200, users=30)
    ready = prepared(data, unit=PrivacyUnit.USER_DAY, max_contribution=3)
    chosen = np.flatnonzero(np.arange(ready.units) % 3)
    seen: list[tuple[int, ...]] = []
    for batch in ready.batches(chosen, CPU, positions=40):
        assert batch.tokens.shape[1] == int(batch.lengths.max())
        assert batch.tokens.numel() <= 40 or batch.units == 1
        texts = [tuple(row[:length].tolist()) for row, length in zip(batch.tokens, batch.lengths, strict=True)]
        per_unit = len(texts) // batch.units
        seen += [sum(texts[u * per_unit : (u + 1) * per_unit], ()) for u in range(batch.units)]
    tokens, lengths = data.padded_tokens(ready.members, max_text_len=7, vocab_size=builders.VOCABULARY)
    rows = [range(ready.starts[u], ready.starts[u + 1]) for u in chosen]
    wanted = [tuple(t for i in unit for t in tokens[i, : lengths[i]].tolist()) for unit in rows]
    assert sorted(seen) == sorted(wanted)


def digest(ready: examples.Examples, *, positions: int) -> str:
    """Return the beginning of a digest of the batches of two of three units: their order, types, shapes and values."""
    hashed = hashlib.sha256()
    for batch in ready.batches(np.flatnonzero(np.arange(ready.units) % 3), CPU, positions=positions):
        for tensor in (batch.tokens, batch.lengths, batch.labels):
            hashed.update(str((tensor.dtype, tuple(tensor.shape))).encode() + tensor.numpy().tobytes())
        hashed.update(str(batch.units).encode())
    return hashed.hexdigest()[:16]


@pytest.mark.parametrize(
    ("unit", "bound", "product", "sentiment"),
    [
        (PrivacyUnit.EVENT, 1, "9de53e0732c9a239", "1cbf0fb28034a07b"),
        (PrivacyUnit.USER_DAY, 2, "7717ee4d44187d78", "276bc24cb801de7f"),
        (PrivacyUnit.USER, 5, "c35e3f3bc80bc265", "fe7718576a041faf"),
    ],
)
def test_the_order_of_examples_and_what_is_read_of_them_are_fixed_for_good(
    unit: PrivacyUnit, bound: int, product: str, sentiment: str
) -> None:
    """The values are of the version that held all texts in memory, padded."""
    data = builders.learnable_reviews(200, users=30)
    assert digest(prepared(data, unit=unit, max_contribution=bound), positions=40) == product
    assert digest(prepared(data, unit=unit, max_contribution=bound, task="sentiment"), positions=200) == sentiment


def test_reviews_on_disk_are_read_as_those_in_memory_and_another_process_is_given_their_place(tmp_path: Path) -> None:
    data, rows = builders.learnable_reviews(200, users=30), np.flatnonzero(np.arange(200) % 4)
    block = Block(data, test_block_file.metadata(end_day=10_000), "digest")
    stored_block.write(tmp_path / "data", [block], source={})
    on_disk = stored_block.read_reviews(tmp_path / "data").reviews
    for unit, bound in ((PrivacyUnit.EVENT, 1), (PrivacyUnit.USER_DAY, 2), (PrivacyUnit.USER, 5)):
        options: dict[str, object] = {"rows": rows, "unit": unit, "max_contribution": bound}
        stored, held = prepared(on_disk, **options), prepared(data, **options)
        assert digest(stored, positions=40) == digest(held, positions=40)
        part = stored.part(1, 3)
        assert part.reviews is on_disk
        assert digest(pickle.loads(pickle.dumps(part)), positions=40) == digest(held.part(1, 3), positions=40)  # noqa: S301 - made here


def test_some_rows_are_read_as_if_there_were_no_others() -> None:
    data, rows = builders.learnable_reviews(200, users=30), np.flatnonzero(np.arange(200) % 4)
    for unit, bound in ((PrivacyUnit.EVENT, 1), (PrivacyUnit.USER_DAY, 2), (PrivacyUnit.USER, 5)):
        some = prepared(data, rows=rows, unit=unit, max_contribution=bound)
        alone = prepared(data.select(rows), unit=unit, max_contribution=bound)
        assert digest(some, positions=40) == digest(alone, positions=40)


def test_a_sample_of_many_units_is_read_in_pieces_and_each_unit_is_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = prepared(builders.learnable_reviews(50, users=5))
    monkeypatch.setattr(examples, "UNITS_AT_ONCE", 7)
    read: list[int] = []
    texts = columns.Reviews.padded_tokens

    def reading(data: columns.Reviews, rows: np.ndarray, **sizes: int) -> tuple[np.ndarray, np.ndarray]:
        read.append(len(rows))
        return texts(data, rows, **sizes)

    monkeypatch.setattr(columns.Reviews, "padded_tokens", reading)
    batches = list(ready.batches(np.arange(50), CPU, positions=1000))
    assert read == [7] * 7 + [1]
    assert sum(batch.units for batch in batches) == 50


def test_a_unit_is_a_user_on_a_day_and_its_reviews_are_bounded() -> None:
    data = builders.learnable_reviews(300, users=20)
    ready = prepared(data, unit=PrivacyUnit.USER_DAY, max_contribution=2)
    day = data.time // columns.SECONDS_PER_DAY
    pairs = set(zip(data.user.tolist(), day.tolist(), strict=True))
    assert ready.units == len(pairs)
    counts = np.diff(ready.starts)
    assert counts.max() == 2
    for first, count in zip(ready.starts[:-1], counts, strict=True):
        members = ready.members[first : first + count]
        assert len({(data.user[i], day[i]) for i in members}) == 1


def test_a_user_over_all_days_is_one_unit_and_bounded_as_a_whole() -> None:
    data = builders.learnable_reviews(300, users=20)
    ready = prepared(data, unit=PrivacyUnit.USER, max_contribution=4)
    assert ready.units == len(set(data.user.tolist()))
    assert np.diff(ready.starts).max() == 4


def test_where_the_unit_is_the_event_each_review_is_one() -> None:
    ready = prepared(builders.learnable_reviews(50, users=5))
    assert ready.units == 50
    assert sorted(ready.members.tolist()) == list(range(50))


def test_no_reviews_and_no_chosen_units_give_no_batches() -> None:
    data = builders.learnable_reviews(5)
    nothing = prepared(data.select(np.zeros(5, dtype=bool)), unit=PrivacyUnit.USER_DAY)
    assert nothing.units == 0
    assert list(nothing.batches(np.arange(0), CPU, positions=40)) == []
    assert list(prepared(data).batches(np.arange(0), CPU, positions=40)) == []


def test_sentiment_is_five_stars_or_not() -> None:
    data = replace(builders.learnable_reviews(5), stars=np.array([1, 5, 4, 5, 3], dtype=np.int8))
    (batch,) = prepared(data, task="sentiment").batches(np.arange(5), CPU, positions=1000)
    order = np.argsort(-data.lengths, kind="stable")
    assert batch.labels.tolist() == np.array([0, 1, 0, 1, 0])[order].tolist()


@pytest.mark.parametrize(("name", "value"), [("task", "stars"), ("unit", "person"), ("max_contribution", 0)])
def test_an_unknown_task_or_unit_or_a_bound_below_one_is_refused(name: str, value: object) -> None:
    with pytest.raises(errors.InvalidInput, match=name):
        prepared(builders.learnable_reviews(3), **{name: value})


def test_a_label_without_a_class_is_refused_without_naming_it() -> None:
    data = builders.learnable_reviews(50, n_classes=3)
    with pytest.raises(errors.CorruptData, match="outside the 2 declared classes"):
        prepared(data, model=builders.config(n_classes=2))
