"""The collector of reference cycles is paused while very many objects are made, and left as it was."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import FrameType

import pytest

from privatekube.store import collector


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


def test_an_interrupt_right_after_the_pause_begins_leaves_the_collector_running() -> None:
    def interrupt(_frame: FrameType, event: str, called: object) -> None:
        if event == "c_return" and called is gc.disable:
            raise KeyboardInterrupt

    sys.setprofile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), collector.paused():
            pass
    finally:
        sys.setprofile(None)
    assert gc.isenabled()


def test_a_collector_that_was_paused_before_stays_paused() -> None:
    gc.disable()
    with collector.paused():
        assert not gc.isenabled()
    assert not gc.isenabled()
