"""Grant, Spend and Receipt: the JSON that components hand on, validated on reading.

Grant: what allocate obtained and the noise planned for each step. Spend: what a step used. Receipt: what was committed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic

from privatekube import errors, validation

SCHEMA_VERSION: Literal[1] = 1
Json = dict[str, Any]
Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, pydantic.Field(gt=0, le=1)]
Inner = Annotated[float, pydantic.Field(gt=0, lt=1)]
Count = Annotated[int, pydantic.Field(ge=1)]


class Document(pydantic.BaseModel):
    """Base of the documents: frozen, unknown fields refused, of one schema version."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1] = SCHEMA_VERSION


class GrantedBlock(pydantic.BaseModel):
    """One block of a Grant: its id `namespace/name`, where its data is, and the digest that data must have."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    id: str
    uri: str
    digest: str | None
    budget: Json


class Plan(pydantic.BaseModel):
    """The noise planned for each step; the fields are those of `planning.RunPlan`, checked there."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    statistics_scale: Positive
    noise_multiplier: Positive
    sampling_rate: Share
    steps: Count
    evaluation_scale: Positive
    sensitivity: Count


class Grant(Document):
    """What allocate obtained for a run.

    Args:
        claim: id `namespace/name` of the claim.
        epsilon: what the whole run may cost, by PLD.
        delta: likewise.
        unit: the privacy unit of all blocks: `event` or `user-day`.
        max_contribution: how many reviews a unit has at most.
        test_fraction: share of users held out from training.
    """

    run_id: str
    claim: str
    epsilon: Positive
    delta: Inner
    unit: Literal["event", "user-day"]
    max_contribution: Count
    test_fraction: Inner
    blocks: tuple[GrantedBlock, ...] = pydantic.Field(min_length=1)
    plan: Plan


class Spend(Document):
    """What one step used.

    Args:
        part: the units it ran on: all, or one side of the split.
        event: the DpEvent that ran, as `events.to_json` writes it.
        inputs: digest of the Grant and of the noisy outputs that the step read, so that a repetition is told from a
            second release; never of private data, for the Spend is published. The Grant names the data's digests.
    """

    step: Literal["dp_preprocess", "dp_train", "dp_evaluate"]
    claim: str
    part: Literal["all", "train", "test"]
    event: Json
    inputs: str


class Receipt(Document):
    """What a run committed; publishing needs it.

    Args:
        committed: budget by block id, in the wire's JSON.
        epsilon: what the spends cost together, by PLD, at `delta`.
        spends: the spends it paid for.
    """

    run_id: str
    claim: str
    committed: dict[str, Json]
    epsilon: float
    delta: Inner
    spends: tuple[Spend, ...]


D = TypeVar("D", bound=Document)


def read(kind: type[D], path: Path) -> D:
    """Read and validate a document.

    Raises:
        InvalidInput: missing, no JSON, of another schema version, or a field that does not fit.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise errors.InvalidInput(f"{kind.__name__}: {path} does not exist; run the step that writes it") from error
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(f"{kind.__name__} {path.name}: {validation.first_fault(error)}") from None


def write(document: Document, path: Path) -> None:
    """Write a document as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(document.model_dump_json(indent=2) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def digest(*paths: Path) -> str:
    """Digest of the content of files, in the order given; for documents and noisy outputs, never for private data."""
    hashed = hashlib.sha256()
    for path in paths:
        hashed.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{hashed.hexdigest()}"


def finished(path: Path, *, claim: str, inputs: str, outputs: tuple[Path, ...]) -> bool:
    """Whether the Spend at `path` shows that this step was done before for this claim with these inputs.

    A repeated DP step must keep its first output: a second noisy release would be a second, unpaid one.

    Raises:
        BudgetExceeded: there is a Spend of the same claim with other inputs: repeating would release twice.
    """
    if not path.is_file() or not path.stat().st_size:
        return False
    spend = read(Spend, path)
    if spend.claim != claim:
        return False
    if spend.inputs != inputs or not all(output.exists() for output in outputs):
        raise errors.BudgetExceeded(
            f"spend {path.name}: {spend.step} has released already for claim {claim} from other inputs; "
            "a second release would not be paid for: start a new run"
        )
    return True
