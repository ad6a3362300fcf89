"""The collector of reference cycles is paused while a pass decides, and left as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from privatekube.reconcile import collector


@pytest.fixture(autouse=True)
def running_collector() -> Iterator[None]:
    assert gc.isenabled()
    yield
    gc.enable()


def test_the_collector_is_paused_and_runs_again_even_after_a_fault() -> None:
    def fail() -> None:
        with collector.paused():
            assert not gc.isenabled()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert gc.isenabled()


def test_a_collector_that_was_paused_before_stays_paused() -> None:
    gc.disable()
    with collector.paused():
        assert not gc.isenabled()
    assert not gc.isenabled()
