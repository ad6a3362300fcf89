"""A claim pays for one release of each step: the first that is registered while it holds its grant."""

from __future__ import annotations

import itertools

import pytest

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.requests import ConsumeRequest, RegisterRequest, ReleaseRequest
from privatekube.resources.responses import RegisterResponse, ResponseState
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane

ALL = EpsilonDelta(0.25)
FIRST, SECOND = builders.release(output="1"), builders.release(output="2")


def granted(plane: Plane) -> Plane:
    plane.block("b")
    plane.ask("c", builders.allocate(0.25))
    return plane


@pytest.fixture
def opened(plane: Plane) -> Plane:
    """A claim `c` that holds budget and whose data is opened."""
    granted(plane).open_data("c")
    return plane


def register(plane: Plane, *releases: RegisterRequest) -> list[tuple[str, str]]:
    """Append registrations, run a pass, and return the state and the error of their answers."""
    for release in releases:
        plane.append("c", release)
    plane.run()
    answers = plane.claim("c").status.responses[-len(releases) :]
    assert all(isinstance(answer.detail, RegisterResponse) for answer in answers)
    return [(str(answer.state), str(answer.refusal or "")) for answer in answers]


def test_the_first_release_of_a_step_is_accepted_and_the_same_one_again(opened: Plane) -> None:
    assert register(opened, FIRST, FIRST) == [("success", ""), ("success", "")]
    assert register(opened, FIRST) == [("success", "")]
    assert opened.claim("c").releases == {"dp_train": FIRST}


@pytest.mark.parametrize(
    "other",
    [
        SECOND,
        RegisterRequest(FIRST.step, FIRST.outputs, event="other noise"),
        RegisterRequest(FIRST.step, FIRST.outputs, inputs=SECOND.outputs, event=FIRST.event),
    ],
    ids=["output", "event", "inputs"],
)
def test_a_second_release_of_a_step_is_refused_and_needs_a_new_run(opened: Plane, other: RegisterRequest) -> None:
    (_, first), (state, second) = register(opened, FIRST, other)
    assert (first, state) == ("", "failure")
    assert second.startswith("dp_train has released something else")
    assert second.endswith("start a new run")
    assert opened.claim("c").releases == {"dp_train": FIRST}


def test_each_step_has_a_release_of_its_own(opened: Plane) -> None:
    other = builders.release("dp_evaluate", "2")
    assert register(opened, FIRST, other) == [("success", ""), ("success", "")]
    assert opened.claim("c").releases == {"dp_train": FIRST, "dp_evaluate": other}


def test_nothing_with_noise_is_registered_before_the_data_is_marked_as_opened(plane: Plane) -> None:
    granted(plane)
    assert register(plane, builders.release("allocate", event=None)) == [("success", "")]
    ((state, error),) = register(plane, FIRST)
    assert state == "failure"
    assert "was not marked as opened" in error


@pytest.mark.parametrize(
    "settle", [ConsumeRequest({"ns/b": ALL}), ConsumeRequest({"ns/b": ALL * 0.5}), ReleaseRequest({"ns/b": ALL})]
)
def test_a_claim_that_was_settled_pays_for_nothing_more(plane: Plane, settle: ConsumeRequest | ReleaseRequest) -> None:
    granted(plane)
    plane.append("c", settle)
    plane.run()
    ((state, error),) = register(plane, builders.release("allocate", event=None))
    assert state == "failure"
    assert error.endswith("start a new run")
    assert not plane.claim("c").releases


def test_what_was_registered_before_the_claim_was_consumed_may_be_registered_again(opened: Plane) -> None:
    register(opened, FIRST)
    opened.append("c", ConsumeRequest({"ns/b": ALL}))
    opened.run()
    assert register(opened, FIRST) == [("success", "")]
    ((state, _),) = register(opened, SECOND)
    assert state == "failure"


def test_a_claim_that_was_refused_pays_for_nothing(plane: Plane) -> None:
    plane.block("b")
    plane.ask("c", builders.allocate(0.25, blocks=7))
    ((state, error),) = register(plane, FIRST)
    assert (state, "holds no budget" in error) == ("failure", True)


def test_a_registration_waits_for_the_requests_before_it(plane: Plane) -> None:
    plane.unlock = "n=100"
    plane.block("b")
    plane.ask("c", builders.allocate(0.25), builders.release("allocate", event=None))
    assert plane.states("c") == ["pending"]
    assert not plane.claim("c").releases


@pytest.mark.parametrize("order", list(itertools.permutations("112")))
def test_wherever_a_process_dies_one_release_of_a_step_is_accepted_and_stays(order: tuple[str, ...]) -> None:
    for write, after in itertools.product(range(1, 5), (False, True)):
        store = CrashingStore(MemoryStore())
        plane = granted(Plane(store))
        plane.open_data("c")
        accepted = set()
        for output in order:
            plane.append("c", builders.release(output=output))
            store.arm(write, after=after)
            try:
                plane.run()
            except CrashError:
                pass
            finally:
                store.arm(None)
            accepted |= set(plane.claim("c").releases.values())
        plane.run()
        accepted |= set(plane.claim("c").releases.values())
        assert accepted == {builders.release(output=order[0])}
        assert all(answer.state is not ResponseState.PENDING for answer in plane.claim("c").status.responses)


@pytest.mark.parametrize(
    "fields",
    [
        {"step": ""},
        {"step": "s" * 254},
        {"outputs": ()},
        {"outputs": ("sha256:1",)},
        {"outputs": FIRST.outputs * 17},
        {"inputs": ("sha1:" + "1" * 64,)},
        {"event": ""},
        {"event": "e" * 2049},
    ],
)
def test_a_registration_is_bounded(fields: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidInput, match=f"registerRequest.{next(iter(fields))}"):
        RegisterRequest(**{"step": "s", "outputs": FIRST.outputs} | fields)  # type: ignore[arg-type]  # on purpose
