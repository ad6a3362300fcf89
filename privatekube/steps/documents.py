"""The JSON documents that the steps of a run exchange, validated on reading.

Grant: the approved run: what allocate obtained, the noise of each step and the settings of the pipeline. Statistics and
Metrics: the noisy values that the run publishes. Spend: what a step used. Receipt: what was committed.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

import pydantic

from privatekube import errors, html_table, validation
from privatekube.privacy import event_text, planned_steps
from privatekube.privacy.sensitivity import Per
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import declared_data
from privatekube.runs.run_arguments import RunArguments
from privatekube.storage import local_files

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass

    from privatekube.privacy import solving
else:
    ModelMetaclass = type(pydantic.BaseModel)

SCHEMA_VERSION: Literal[4] = 4
LAST_VERSION = 3
"""Documents of this version are read too: a run may go on after an upgrade."""
Json = dict[str, Any]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Digest = Annotated[str, pydantic.Field(pattern=r"^sha256:[0-9a-f]{64}$")]
PublicKey = Annotated[str, pydantic.Field(pattern=r"^x25519:[0-9a-f]{64}$")]
Adjacency = Literal["add or remove one unit"]
ADJACENCY: Adjacency = "add or remove one unit"
"""The neighbouring relation of every mechanism here."""


class _OneLineErrors(ModelMetaclass):
    """Answers wrong fields of a document that a program makes with one line, as `read` does for a file."""

    def __call__(cls, *values: Any, **fields: Any) -> Any:  # noqa: N805 - ruff does not see that it is a metaclass
        try:
            return super().__call__(*values, **fields)
        except pydantic.ValidationError as error:
            raise errors.InvalidInput(f"{cls.__name__}: {validation.first_fault(error)}") from None


class _Frozen(pydantic.BaseModel, metaclass=_OneLineErrors):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Document(_Frozen):
    """Base of the documents: immutable, of one schema version, unknown fields are errors.

    A document of the last version is read as one of this version; one of any other version is refused.
    """

    schema_version: Literal[4] = SCHEMA_VERSION

    @pydantic.model_validator(mode="before")
    @classmethod
    def _upgrade(cls, fields: object) -> object:
        if isinstance(fields, dict) and fields.get("schema_version") == LAST_VERSION:
            return {**cls._of_last_version(fields), "schema_version": SCHEMA_VERSION}
        return fields

    @classmethod
    def _of_last_version(cls, fields: Json) -> Json:
        """Return fields that the last version wrote, as this version writes them."""
        return fields

    @pydantic.field_validator("schema_version", mode="before")
    @classmethod
    def _require_this_version(cls, version: object) -> object:
        if version != SCHEMA_VERSION:
            bound = f"must be {SCHEMA_VERSION}, as this version of privatekube writes it"
            raise errors.invalid(f"{cls.__name__}: schema_version", version, bound, "start a new run")
        return version


class GrantedBlock(_Frozen):
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


class StatedSensitivity(_Frozen):
    """How far a record or a privacy unit moves the values of a step's query, as the plan states it."""

    value: validation.Positive
    per: Per


class GrantedStep(_Frozen):
    """What one step may run; `privacy.solving.SolvedStep` in JSON.

    Args:
        name: of the step.
        part: the units that it runs on: `all`, or one of the plan's disjoint parts.
        mechanism: what it runs, as a plan names it.
        parameters: what the step needs to run it, such as the scale of its noise.
        event: the DpEvent that it may run, as `events.to_json` writes it.
        sensitivity: as the plan states it; None where it states none. That in `parameters` is of a unit.
        releases: what the step releases, in words; None if the plan does not say.
    """

    name: validation.StepName
    part: validation.StepName
    mechanism: validation.Text
    parameters: Json
    event: Json
    sensitivity: StatedSensitivity | None = None
    releases: validation.Line | None = None


class GrantedPlan(_Frozen):
    """The mechanism of every step of a run with its noise, by the name of the step.

    Args:
        steps: in the order in which they run; none where the run demanded a budget and chooses its noise itself.
        disjoint: the parts of the units that no unit has in common; steps on them compose in parallel.
    """

    steps: tuple[GrantedStep, ...]
    disjoint: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _require_sound(self) -> Self:
        names = [step.name for step in self.steps]
        for step in self.steps:
            if names.count(step.name) > 1:
                raise errors.invalid("steps", step.name, "is given twice", "give each step its own name")
            if step.part not in ("all", *self.disjoint):
                raise errors.invalid("part", step.part, "is not declared disjoint", "restore the original")
        return self

    @classmethod
    def of(cls, plan: solving.SolvedPlan) -> GrantedPlan:
        """Return the JSON form of `plan`."""
        from privatekube.privacy import events  # noqa: PLC0415 - the accounting takes a second to import

        steps = (
            GrantedStep(
                name=step.name,
                part=step.part,
                mechanism=step.mechanism,
                parameters=dict(step.parameters),
                event=events.to_json(step.event),
                sensitivity=None if step.sensitivity is None else StatedSensitivity(**asdict(step.sensitivity)),
                releases=step.releases,
            )
            for step in plan.steps
        )
        return cls(steps=tuple(steps), disjoint=plan.disjoint)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the steps."""
        return tuple(step.name for step in self.steps)

    def step(self, name: str) -> GrantedStep:
        """Return the step of that name.

        Raises:
            InvalidInput: the plan has no such step.
        """
        for step in self.steps:
            if step.name == name:
                return step
        known = ", ".join(self.names) or "none: the run demanded a budget, and its steps choose their noise"
        raise errors.invalid("step", name, f"is not in the plan, which has {known}", "plan it")

    def part(self, name: str) -> str:
        """Return the units that a step may run on: all, where nothing was planned.

        Raises:
            InvalidInput: the plan has steps, and not this one.
        """
        return self.step(name).part if self.steps else "all"


class Declarations(_Frozen):
    """What a person says about the run, for the privacy card.

    Args:
        organisation: who is responsible for it.
        purpose: what the model is for.
        hyperparameters_chosen: how the values in the run's arguments were chosen.
    """

    organisation: validation.Line
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
        sealing_key: public key of the claim, to which the steps seal what they release; None if the claim has none,
            because an earlier version granted it.

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
    sealing_key: PublicKey | None = None

    @classmethod
    def _of_last_version(cls, fields: Json) -> Json:
        """Return a Grant that had the settings of training as fields of its own."""
        others = {name: value for name, value in fields.items() if name not in _SETTINGS_OF_LAST_VERSION}
        share, training = (fields.get(name) for name in _SETTINGS_OF_LAST_VERSION)
        settings = {"test_fraction": share, **(training if isinstance(training, dict) else {})}
        return {**others, "settings": settings, "plan": _with_sensitivities(fields.get("plan"))}


class CountNoise(_Frozen):
    """The noise on published counts: its scale, and how far one privacy unit moves the counts (L1)."""

    mechanism: str = "discrete Laplace"
    scale: validation.Positive
    sensitivity: validation.Count

    @classmethod
    def planned(cls, step: GrantedStep, *, max_contribution: int) -> CountNoise:
        """Return the noise that a step may draw once on counts of records.

        Args:
            step: the step as it was granted.
            max_contribution: how many records a privacy unit has at most, so how far it moves the counts (L1).

        Raises:
            InvalidInput: the plan says that it runs something else, or that a unit moves the counts less.
        """
        planned_steps.require_record_counts(step, max_contribution=max_contribution)
        return cls(scale=step.parameters["scale"], sensitivity=step.parameters["sensitivity"])


class TrainingNoise(_Frozen):
    """The noisy steps of DP-SGD, see `privacy.planned_mechanisms.DpSgd`."""

    sampling_rate: validation.Rate
    steps: validation.Count
    noise_multiplier: validation.Positive

    @classmethod
    def planned(cls, step: GrantedStep) -> TrainingNoise:
        """Return the noisy steps that a step may take.

        Raises:
            InvalidInput: the plan says that it runs something else.
        """
        planned_steps.require_dp_sgd(step)
        return cls(**step.parameters)


class Published(Document):
    """Base of the documents with noisy values; a component of your own may add fields of its own."""

    model_config = pydantic.ConfigDict(extra="allow")


class Statistics(Published):
    """Noisy numbers of reviews by category and stars.

    Args:
        counts: by category, then by stars as text, `1` to `5`; may be negative.

    >>> noise = CountNoise(scale=20.0, sensitivity=1)
    >>> Statistics(counts={"books": {"1": 3, "5": 12}}, noise=noise, unit=PrivacyUnit.EVENT).total
    15
    """

    counts: dict[str, dict[str, int]]
    noise: CountNoise
    unit: PrivacyUnit
    adjacency: Adjacency = ADJACENCY

    @property
    def total(self) -> int:
        """The noisy number of all reviews."""
        return sum(count for stars in self.counts.values() for count in stars.values())


class Estimate(_Frozen):
    """A share estimated from noisy counts, with its confidence interval [low, high]; None if they leave no estimate."""

    estimate: Share | None
    low: Share
    high: Share


class Metrics(Published):
    """How good a model is on the held-out users, from noisy counts; a replacement of dp_evaluate may publish less.

    Args:
        accuracy: share of correct predictions.
        per_class: the same among the reviews of each class.
        majority_share: share of the largest class, which is the accuracy of always predicting it.
        examples: noisy number of reviews evaluated.
        task: what the model predicts.
        model: its architecture.
        confidence: level of the intervals.

    >>> accuracy, noise = Estimate(estimate=0.7, low=0.6, high=0.8), CountNoise(scale=5.0, sensitivity=1)
    >>> Metrics(accuracy=accuracy, task="product", model="lstm", noise=noise).accuracy.estimate
    0.7
    """

    accuracy: Estimate
    per_class: dict[str, Estimate] | None = None
    majority_share: Estimate | None = None
    examples: int | None = None
    task: str
    model: str
    confidence: validation.OpenShare = 0.95
    noise: CountNoise

    @pydantic.model_serializer(mode="wrap")
    def _omit_absent_fields(self, serialize: pydantic.SerializerFunctionWrapHandler) -> Json:
        return {name: value for name, value in serialize(self).items() if value is not None}


class Spend(Document):
    """What one step used and released, as it is registered with the claim.

    Args:
        part: the units it ran on.
        event: the DpEvent that ran, as `events.to_json` writes it.
        inputs: the digest of the Grant, then of each noisy file that the step read; never of private data, for the
            Spend is published. The Grant has the data's digests.
        outputs: the digest of each released file.

    >>> event = {"type": "discrete_laplace", "noise_parameter": 0.5, "sensitivity": 1}
    >>> files = {"inputs": (digest(b"grant"),), "outputs": (digest(b"noisy counts"),)}
    >>> Spend(step="histogram", claim="team/run-1", part="all", event=event, **files).step
    'histogram'
    """

    step: validation.Line
    claim: str
    part: validation.Line
    event: Json
    inputs: tuple[Digest, ...] = pydantic.Field(min_length=1)
    outputs: tuple[Digest, ...] = pydantic.Field(min_length=1)


class Receipt(Document):
    """What a run committed, and for which releases; publishing needs it.

    Args:
        grant: digest of the Grant.
        committed: budget by block id, in the wire's JSON.
        epsilon: what the mechanisms of the run cost together, at `delta`: of a plan, the whole of it.
        spends: what each step used and released, as the claim has it: nothing else was paid for.

    >>> paid = {"team/monday": {"epsDel": {"epsilon": 1.0}}}
    >>> terms = {"run_id": "1", "claim": "team/run-1", "grant": digest(b"grant"), "delta": 1e-9}
    >>> Receipt(**terms, committed=paid, epsilon=0.5, spends=()).epsilon
    0.5
    """

    run_id: validation.RunId
    claim: str
    grant: Digest
    committed: dict[str, Json]
    epsilon: float
    delta: validation.ClaimedDelta
    spends: tuple[Spend, ...]

    def _repr_html_(self) -> str:
        cost = f"epsilon {self.epsilon:.4g} at delta {self.delta:.3g}"
        facts = [("claim", self.claim), ("releases cost", cost), ("paid on", ", ".join(self.committed))]
        rows = [(spend.step, spend.part, event_text.describe(spend.event)) for spend in self.spends]
        return html_table.facts(facts) + html_table.table(("release", "part", "mechanism"), rows)


D = TypeVar("D", bound=Document)


def read(kind: type[D], path: Path) -> D:
    """Read and validate a document.

    Raises:
        InvalidInput: it is missing, not JSON, of another schema version, or a field does not fit.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise errors.InvalidInput(f"{kind.__name__}: {path} does not exist; run the step that writes it") from error
    except OSError as error:
        raise local_files.translation(error, path) from error
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(f"{kind.__name__} {path.name}: {validation.first_fault(error)}") from None


def digest(content: bytes) -> str:
    """Return the digest of a file's content; for documents and noisy outputs, never for private data.

    >>> digest(b"")
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    """
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encode(document: Document) -> bytes:
    """Return the JSON text of a document, indented, in UTF-8."""
    return (document.model_dump_json(indent=2) + "\n").encode()


def write(document: Document, path: Path) -> None:
    """Write a document in one step, in place of one that is there.

    Raises:
        InvalidInput: the disk is full, or the folder cannot be written.
    """
    local_files.write(path, encode(document), overwrite=True)
