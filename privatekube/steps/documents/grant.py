"""Grant: the approved run: what allocate obtained, the noise of each step and the settings of the pipeline."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

from privatekube import plain_text, validation
from privatekube.privacy.sensitivity import Per
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import declared_data
from privatekube.runs.run_arguments import RunArguments
from privatekube.steps.documents.document import ADJACENCY, Adjacency, Document, Frozen, Json
from privatekube.steps.documents.granted_plan import GrantedPlan

PublicKey = Annotated[str, pydantic.Field(pattern=r"^x25519:[0-9a-f]{64}$")]


class GrantedBlock(Frozen):
    """One block of a Grant.

    Args:
        id: `namespace/name`.
        uri: where its data is.
        digest: what the content of the data must have; None if the block does not state one.
        budget: what was granted of it, in the wire's JSON.
        copies_kept: whether it declares that it may have exact copies of a record.
        record_name: what its data calls a record.
    """

    id: str
    uri: str
    digest: str | None
    budget: Json
    copies_kept: bool = False
    record_name: str = declared_data.A_RECORD


class Declarations(Frozen):
    """What a person says about the run, for the privacy card.

    Args:
        organisation: who is responsible for it.
        team: whom the budget is for.
        purpose: what the model is for.
        hyperparameters_chosen: how the values in the run's arguments were chosen.
    """

    organisation: validation.Line
    team: validation.Team = plain_text.NOT_STATED
    purpose: validation.Line
    hyperparameters_chosen: validation.Line

    @classmethod
    def of(cls, run: RunArguments) -> Declarations:
        """Return what the arguments of `run` say."""
        return cls(**run.model_dump(include=set(cls.model_fields)))


_SETTINGS_OF_LAST_VERSION = ("test_fraction", "training")


def _with_sensitivities(plan: Any) -> Any:
    """Return a plan of the last version, which stated the sensitivity of a unit alone, as this version states it."""
    match plan:
        case {"steps": [*steps]}:
            return {**plan, "steps": [_with_sensitivity(step) for step in steps]}
    return plan


def _with_sensitivity(step: Any) -> Any:
    match step:
        case {"parameters": {"sensitivity": value}}:
            return {**step, "sensitivity": {"value": value, "per": Per.UNIT}}
    return step


class Grant(Document):
    """The approved run: what allocate obtained for it, and everything that its steps do with it.

    Args:
        claim: id `namespace/name` of the claim.
        epsilon: what the whole run may cost, by PLD, at `delta`.
        unit: the privacy unit of all blocks.
        adjacency: how neighbouring data sets differ.
        max_contribution: how many records a unit has at most in a block.
        plan: the mechanism of each step, with its noise.
        settings: those of the pipeline, which its steps read.
        declared: what the privacy card says about the run.
        requested_by: the user who requested the budget; None if an earlier version granted it.
        sealing_key: public key of the claim, to which the steps seal what they release; None if the claim has none,
            because an earlier version granted it.

    >>> from pathlib import Path
    >>> from privatekube.steps.documents import read
    >>> read(Grant, Path("grant.json"))
    Traceback (most recent call last):
    privatekube.errors.InvalidInput: Grant: grant.json does not exist; run the step that writes it
    """

    run_id: validation.RunId
    claim: str
    epsilon: validation.Epsilon
    delta: validation.ClaimedDelta
    unit: PrivacyUnit
    adjacency: Adjacency = ADJACENCY
    max_contribution: validation.Count
    blocks: tuple[GrantedBlock, ...] = pydantic.Field(min_length=1)
    plan: GrantedPlan
    settings: validation.Settings
    declared: Declarations
    requested_by: validation.Text | None = None
    sealing_key: PublicKey | None = None

    @classmethod
    def _of_last_version(cls, fields: Json) -> Json:
        """Return a Grant that had the settings of training as fields of its own."""
        others = {name: value for name, value in fields.items() if name not in _SETTINGS_OF_LAST_VERSION}
        share, training = (fields.get(name) for name in _SETTINGS_OF_LAST_VERSION)
        settings = {"test_fraction": share, **(training if isinstance(training, dict) else {})}
        return {**others, "settings": settings, "plan": _with_sensitivities(fields.get("plan"))}
