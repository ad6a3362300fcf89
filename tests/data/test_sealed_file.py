"""Columns of any length and type come back from a file as they were put into it."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest

from privatekube.data import sealed_file

LENGTHS = (0, 1, 1000, 1 << 16, (1 << 16) + 1, 200_000)


@pytest.mark.parametrize("kind", ["<i8", "<i4", "<f8", "|i1", "|b1"])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_column_comes_back_as_it_was(kind: str, length: int) -> None:
    column = np.random.default_rng(0).integers(-100, 100, length).astype(kind)
    content = sealed_file.Content("test/1", {}, {"a/b": column})
    data, digest = sealed_file.encode(content)
    with sealed_file.opened(data, name="test") as file:
        sealed = sealed_file.sealed(file)
    assert sealed.columns["a/b"].dtype == column.dtype
    assert sealed.columns["a/b"].tolist() == column.tolist()
    assert sealed.digest_of(content) == digest


def test_a_file_needs_no_filters_but_those_of_every_hdf5_library() -> None:
    content = sealed_file.Content("test/1", {}, {"user": np.arange(1000)})
    with h5py.File(io.BytesIO(sealed_file.encode(content)[0])) as file:
        assert (file["user"].compression, file["user"].shuffle) == ("gzip", True)
