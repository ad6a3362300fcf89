"""The privacy card of a run, as one document: what a published model promises, in terms that a reader can check.

`of_run` collects what the run states. The control plane adds and signs what it knows (`resources.statement`);
`card_markdown.render` writes the same document as a page, and `card_verification` checks it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import pydantic

from privatekube import __version__, errors, plain_text, validation
from privatekube.privacy import group_privacy
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import declared_data
from privatekube.resources.signature import Signature
from privatekube.resources.statement import SignedStatement, Statement
from privatekube.steps import card_mechanisms, documents
from privatekube.storage import local_files

REVISION = "PRIVATEKUBE_REVISION"
"""Environment variable: the commit that the program was built from; images set it."""
FILE = "privacy-card.json"
NOT_STATED = plain_text.NOT_STATED
GROUP_SIZES = (2, 5, 10)
"""Numbers of units of one person for which a card states the guarantee."""

_ACCOUNTANT = "the least of privacy loss distributions (PLD, dp_accounting), Renyi curves and pure epsilons"
_LIBRARIES = ("dp-accounting", "opendp", "opacus", "torch")
_UNITS = {
    PrivacyUnit.EVENT: "one {record}",
    PrivacyUnit.USER_DAY: "every {record} of one user on one day",
    PrivacyUnit.USER: "every {record} of one user on all days of the blocks below",
}


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class GroupGuarantee(_Part):
    """What the guarantee of one unit means for a person with several units, by group privacy.

    Args:
        units: how many units of the claimed blocks are the person's.
        epsilon: units times the epsilon of the run.
        delta: None where it would be 1 or more: then nothing is promised.
    """

    units: validation.Count
    epsilon: validation.Epsilon
    delta: validation.ClaimedDelta | None


class Guarantee(_Part):
    """What everything that the run published promises together.

    Args:
        unit: the privacy unit.
        unit_description: the same in words, with its bound.
        adjacency: how neighbouring data sets differ.
        epsilon: what the steps cost together, by the accountant, at `delta`.
        granted_epsilon: what the run was allowed to cost.
        accountant: how the cost of the steps was computed.
        disjoint: the parts of the units that no unit has in common: steps on them compose in parallel.
        groups: for a person with several units.
    """

    unit: PrivacyUnit
    unit_description: str
    adjacency: documents.Adjacency
    epsilon: validation.Epsilon
    delta: validation.ClaimedDelta
    granted_epsilon: validation.Epsilon
    accountant: str
    disjoint: tuple[str, ...]
    groups: tuple[GroupGuarantee, ...]


class StepMechanism(_Part):
    """The mechanism of one step.

    Args:
        step: its name.
        releases: what it releases, as the plan says.
        part: the units that it ran on: `all`, or one of the disjoint parts.
        mechanism: in words, with its sensitivity.
        sampling: how units are sampled.
        noise: its distribution and scale.
    """

    step: str
    releases: str
    part: str
    mechanism: str
    sampling: str
    noise: str


class Search(_Part):
    """A search of hyper-parameters, whose mechanism states the distribution of the number of its trials.

    Args:
        step: that searched.
        found: the values that the published model was trained with; empty if the metrics do not state them.
        epsilon: what the whole search costs, without the other steps, at the delta of the guarantee.
        epsilon_of_one_trial: what one trial with the same noise would cost alone, likewise.
    """

    step: str
    found: dict[validation.SettingName, validation.Scalar]
    epsilon: validation.Epsilon
    epsilon_of_one_trial: validation.Epsilon


def _is_absent(value: object) -> bool:
    return value is None


class Hyperparameters(_Part):
    """How the model was trained, and how that was chosen.

    Args:
        settings: those of the pipeline, by name.
        chosen: how these values were chosen, as the run's arguments say.
        search: what was searched by the run itself; left out where nothing was.
    """

    settings: validation.Settings
    chosen: str
    search: Search | None = pydantic.Field(default=None, exclude_if=_is_absent)


class Software(_Part):
    """What the run was made with.

    Args:
        versions: of Python and of the libraries, by name, where the card was made.
        commit: the commit that the program was built from; None if it was not stated.
        images: the images of the steps with their digests, by step; empty if no image was pinned.
    """

    versions: dict[str, str]
    commit: str | None
    images: dict[str, str]


class RunFacts(_Part):
    """What the run states about itself.

    Args:
        summary: the promise in plain sentences.
        organisation: who is responsible for the run.
        team: whom the budget is for.
        purpose: what the model is for.
        run_id: id of the run.
        claim: id of its claim, `namespace/name`.
        mechanisms: one for each step.
        files: the digests of the published files, `sha256:` and 64 hexadecimal digits, by name.
    """

    summary: tuple[str, ...]
    organisation: str
    team: str
    purpose: str
    run_id: str
    claim: str
    guarantee: Guarantee
    mechanisms: tuple[StepMechanism, ...]
    hyperparameters: Hyperparameters
    files: dict[str, str]
    software: Software

    def digest(self) -> str:
        """Return the digest of the facts, which the control plane's statement names."""
        return _digest(self.model_dump_json().encode())


class PrivacyCard(_Part):
    """The published document `privacy-card.json`; docs/privacy-card.md explains it.

    Args:
        schema_version: of this document.
        run: what the run states.
        statement: what the control plane knows; None if the claim was deleted before the card was made.
        signature: of the statement, which names the digest of `run`; None likewise.
    """

    schema_version: Literal[4] = 4
    run: RunFacts
    statement: Statement | None
    signature: Signature | None

    @pydantic.field_validator("schema_version", mode="before")
    @classmethod
    def _require_this_version(cls, version: object) -> object:
        if version != 4:
            bound = "must be 4, as this version of privatekube writes it"
            raise errors.invalid("schema_version", version, bound, "verify the card with the version that made it")
        return version

    def encode(self) -> bytes:
        """Return the only text of this document that `decode` accepts: JSON, indented, in UTF-8."""
        return (self.model_dump_json(indent=2) + "\n").encode()


def decode(content: bytes) -> PrivacyCard:
    """Read a card.

    Raises:
        InvalidInput: it is not a card, or not as `PrivacyCard.encode` writes it, byte for byte.
    """
    try:
        card = PrivacyCard.model_validate_json(content)
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(f"privacy card: {validation.first_fault(error)}") from None
    if card.encode() != content:
        raise errors.InvalidInput("privacy card: is not written as it was published; restore the original")
    return card


def sign(run: RunFacts, signed: SignedStatement | None) -> PrivacyCard:
    """Return the card of a run with the control plane's statement about it."""
    if signed is None:
        return PrivacyCard(run=run, statement=None, signature=None)
    statement = pydantic.TypeAdapter(Statement).validate_json(signed.text)
    return PrivacyCard(run=run, statement=statement, signature=signed.signature)


def of_run(
    grant: documents.Grant, receipt: documents.Receipt, files: Mapping[str, Path], images: Mapping[str, str]
) -> RunFacts:
    """Collect what a run states about itself; everything in it is public or an output of the mechanisms.

    Args:
        grant: the approved run.
        receipt: what it paid.
        files: paths of the published files, by name.
        images: images of the steps, by step; only references with a digest are stated.
    """
    declared = grant.declared
    guarantee = _guarantee(grant, receipt)
    return RunFacts(
        summary=tuple(_summary(grant, guarantee)),
        organisation=declared.organisation,
        team=declared.team,
        purpose=declared.purpose,
        run_id=grant.run_id,
        claim=grant.claim,
        guarantee=guarantee,
        mechanisms=tuple(_mechanisms(grant, receipt)),
        hyperparameters=Hyperparameters(
            settings=grant.settings,
            chosen=declared.hyperparameters_chosen,
            search=_search(grant, receipt, files),
        ),
        files={name: file_digest(path) for name, path in sorted(files.items())},
        software=Software(
            versions=dict(_versions()),
            commit=os.environ.get(REVISION) or None,
            images={step: image for step, image in sorted(images.items()) if "@sha256:" in image},
        ),
    )


def file_digest(path: Path) -> str:
    """Return the digest of a published file.

    Raises:
        NotFound: it does not exist.
        InvalidInput: it cannot be read.
    """
    try:
        return _digest(path.read_bytes())
    except OSError as error:
        raise local_files.translation(error, path) from error


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _summary(grant: documents.Grant, guarantee: Guarantee) -> Iterator[str]:
    yield "This was made from personal data under differential privacy."
    yield (
        f"With or without {guarantee.unit_description}, the probability of any outcome differs by at most a factor of "
        f"e^{guarantee.epsilon:.6g}, plus {guarantee.delta:.3g}."
    )
    yield (
        "This holds for everything that the run published, together, against every attacker, without a time limit. "
        "Runs on the same data add up: what the blocks below have left bounds all later runs."
    )
    person = "several user ids" if grant.unit is PrivacyUnit.USER else "several units"
    yield f"A person with {person} is protected less, as the table of groups says."
    if any(block.copies_kept for block in grant.blocks):
        record = _record_name(grant)
        yield (
            f"The owner of the data has kept exact copies. Each copy of a {record} counts as one of its own: a "
            f"{record} that is there several times is protected like as many units."
        )


def _guarantee(grant: documents.Grant, receipt: documents.Receipt) -> Guarantee:
    bound = f", at most {grant.max_contribution} of them per block" if not grant.unit.is_one_record else ""
    return Guarantee(
        unit=grant.unit,
        unit_description=f"{_UNITS[grant.unit].format(record=_record_name(grant))}{bound}",
        adjacency=grant.adjacency,
        epsilon=receipt.epsilon,
        delta=receipt.delta,
        granted_epsilon=grant.epsilon,
        accountant=f"{_ACCOUNTANT}; {', '.join(card_mechanisms.parts(grant.plan))}",
        disjoint=grant.plan.disjoint,
        groups=tuple(_group(receipt, size) for size in GROUP_SIZES),
    )


def _record_name(grant: documents.Grant) -> str:
    """Return what the data calls a record; its blocks may be of several kinds."""
    names = {block.record_name for block in grant.blocks}
    return names.pop() if len(names) == 1 else declared_data.A_RECORD


def _group(receipt: documents.Receipt, size: int) -> GroupGuarantee:
    delta = group_privacy.delta_of_group(receipt.epsilon, receipt.delta, size=size)
    return GroupGuarantee(units=size, epsilon=size * receipt.epsilon, delta=delta)


def _mechanisms(grant: documents.Grant, receipt: documents.Receipt) -> Iterator[StepMechanism]:
    """Yield what was planned; of a run without a plan, what was spent."""
    for spend in () if grant.plan.steps else receipt.spends:
        words = card_mechanisms.words_of_event(spend.event)
        yield StepMechanism(step=spend.step, releases=NOT_STATED, part=spend.part, **words._asdict())
    for step in grant.plan.steps:
        words = card_mechanisms.words(step)
        releases = step.releases or NOT_STATED
        yield StepMechanism(step=step.name, releases=releases, part=step.part, **words._asdict())


def _search(grant: documents.Grant, receipt: documents.Receipt, files: Mapping[str, Path]) -> Search | None:
    """Return the first search of the plan; None if it has none."""
    from privatekube.privacy import events, search_price  # noqa: PLC0415 - the accounting takes a second to import

    for step in grant.plan.steps:
        if step.mechanism != card_mechanisms.SEARCH:
            continue
        price = search_price.of_event(events.from_json(step.event), delta=receipt.delta)
        if price is not None:
            found = _found(files)
            return Search(step=step.name, found=found, epsilon=price.search, epsilon_of_one_trial=price.trial)
    return None


def _found(files: Mapping[str, Path]) -> dict[str, validation.Scalar]:
    """Return the values that published metrics state."""
    for name, path in files.items():
        if name.endswith(".json"):
            with contextlib.suppress(errors.InvalidInput):  # another document
                return documents.read(documents.Metrics, path).hyperparameters or {}
    return {}


def _versions() -> Iterator[tuple[str, str]]:
    yield "privatekube", __version__
    yield "python", platform.python_version()
    for library in _LIBRARIES:
        try:
            yield library, metadata.version(library)
        except metadata.PackageNotFoundError:
            continue  # an image has only the packages that its component imports


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the card; `docs/privacy-card.schema.json` is a copy."""
    return PrivacyCard.model_json_schema(mode="serialization")
