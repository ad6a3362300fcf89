"""The arguments of a run, in a flat YAML file: those of every run, and the settings of its pipeline.

The module that `check` names declares the settings with their types and bounds; see `runs.hook`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import pydantic

from privatekube import config, errors, plain_text, validation
from privatekube.resources import deadlines
from privatekube.resources.deadlines import Deadline
from privatekube.resources.requester import Requester
from privatekube.runs import hook

SET = "--set"
"""The option of the command line that overrides one argument of a run."""

CLUSTER = "cluster"
"""The section of the file that is about the pods of a cluster, not about the run: see `kubeflow.pod_settings`."""

_PLAN, _CHECK, _SETTINGS, _EPSILON = "plan", "check", "settings", "epsilon"


class RunArguments(config.Checked):
    """The arguments of one run, each of which is a parameter of the pipeline under the same name.

    Args:
        dataset: dataset of the blocks to claim.
        namespace: Kubernetes namespace of the blocks.
        n_blocks: how many blocks to claim: a number, or `all` that match.
        conditions: further conditions on block dimensions, as in an allocate request.
        epsilon: what the whole run may cost.
        delta: of the whole run; well below one over the number of records.
        timeout_seconds: how long allocate waits for the budget, in seconds.
        settle_after_seconds: after how many seconds without a sign of life of the run the control plane settles
            its claim.
        plan: text of the plan of the run's mechanisms; the YAML file and `--set` name the file that has it.
        check: module that declares the settings of the pipeline, and checks a run before its claim.
        settings: of the pipeline, by name; in the YAML file and for `--set` they stand beside the other arguments.
        device: where the steps compute that can use a GPU; `auto` uses one if the machine has one.
        organisation: who is responsible for the run; in the privacy card.
        team: whom the budget is for; with the claim and in the ledger, and a quota may be of a team.
        purpose: what the results are for; likewise, and in the privacy card.
        deadline: when the results become useless, an RFC 3339 time: no budget is granted from then on, and of equal
            demands that of the earliest deadline goes first.
        hyperparameters_chosen: how the values of these arguments were chosen; in the privacy card.
        prefix: directory, or gs:// or s3:// prefix, that gets the published results, one folder per run.
    """

    dataset: validation.Name = "amazon"
    namespace: validation.Name = "privacy-example"
    n_blocks: validation.BlockCount = "all"
    conditions: validation.Conditions = pydantic.Field(default_factory=list)
    epsilon: validation.Epsilon = 1.0
    delta: validation.Delta = 1e-9
    timeout_seconds: validation.Seconds = 300
    settle_after_seconds: validation.Seconds = 86_400
    plan: validation.Text | None = None
    check: validation.Text = hook.NO_CHECK
    settings: validation.Settings = pydantic.Field(default_factory=dict, validate_default=True)
    device: config.Device = "auto"
    organisation: validation.Line = plain_text.NOT_STATED
    team: validation.Team = plain_text.NOT_STATED
    purpose: validation.PlainLine = plain_text.NOT_STATED
    deadline: Deadline = plain_text.NOT_STATED
    hyperparameters_chosen: validation.Line = "stated by the run's arguments; not tuned on these data by this pipeline"
    prefix: validation.Text = "out"

    @pydantic.model_validator(mode="after")
    def _require_settling_after_waiting(self) -> Self:
        require_settling_after_waiting(self.settle_after_seconds, timeout_seconds=self.timeout_seconds)
        return self

    @pydantic.field_validator(_SETTINGS, mode="before")
    @classmethod
    def _declare_settings(cls, settings: object, info: pydantic.ValidationInfo) -> object:
        """Give the settings the types that the pipeline declares: Kubeflow passes 15 as 15.0."""
        if not info.data.keys() >= {_CHECK, _EPSILON}:
            return settings  # one of them is refused itself
        declared = hook.settings_of(info.data[_CHECK])
        if declared is None:
            return settings
        try:
            return _of_model(declared, settings, epsilon=info.data[_EPSILON])
        except pydantic.ValidationError as error:
            raise errors.InvalidInput(f"settings: {validation.first_fault(error)}") from None

    @property
    def requester(self) -> Requester:
        """For which team the run is, and why; the store knows who starts it."""
        return Requester(team=plain_text.stated(self.team), purpose=plain_text.stated(self.purpose))

    @property
    def deadline_ms(self) -> int | None:
        """When the results become useless, in unix milliseconds; None for never."""
        return deadlines.stated(self.deadline)

    @property
    def named(self) -> dict[str, Any]:
        """All values by the names that a plan may use as `$name`."""
        return {**self.settings, **self.model_dump(exclude={_SETTINGS})}


def load(path: Path, overrides: Iterable[str] = ()) -> RunArguments:
    """Read a run's arguments and check them as a whole.

    Args:
        path: the YAML file; the file with the plan is looked for in its folder.
        overrides: `key=value` each; they take precedence over the file. A plan is looked for in the working directory.

    Raises:
        InvalidInput: no such file, not a YAML mapping, an unknown key, a key given twice, or a value out of bounds.
    """
    if not path.exists():
        raise errors.InvalidInput(f"{path}: does not exist; run in the folder that has it, or name it with --arguments")
    stated, given = config.read_mapping(path), _overridden(overrides)
    stated.pop(CLUSTER, None)
    values, folder = (given, Path()) if _PLAN in given else (stated, path.parent)
    if _PLAN in values:
        values[_PLAN] = _plan_text(folder / str(values[_PLAN]))
    return _checked(stated | given, source=lambda name: SET if name in given else path.name)


def _plan_text(path: Path) -> str:
    text = config.read_text(path)
    if not text.strip():
        raise errors.InvalidInput(f"{path}: is empty; write steps, or a demand, see docs/plans.md")
    return text


def of_kept_run(values: Mapping[str, Any]) -> RunArguments:
    """Return the arguments that a run was started with.

    Raises:
        InvalidInput: they are those of another version, whose steps this version cannot go on with.

    >>> of_kept_run({"rounds": 15})
    Traceback (most recent call last):
    privatekube.errors.InvalidInput: rounds: unknown; ...: the run is of another version; go on with that version
    """
    try:
        return RunArguments.model_validate(values)
    except pydantic.ValidationError as error:
        fault = validation.first_fault(error)
        raise errors.InvalidInput(f"{fault}: the run is of another version; go on with that version") from None


def require_settling_after_waiting(settle_after_seconds: int, *, timeout_seconds: int) -> None:
    """Check that a run is not settled while it may still wait for its budget.

    Raises:
        InvalidInput: it would be.
    """
    if settle_after_seconds <= timeout_seconds:
        bound = f"must be above timeout_seconds, which is {timeout_seconds}"
        raise errors.invalid("settle_after_seconds", settle_after_seconds, bound, "raise it")


def _overridden(overrides: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        name = key.strip()
        if not separator:
            raise errors.invalid(SET, override, "has no '='", f"write {SET} key=value")
        if name.startswith(f"{CLUSTER}."):
            continue
        if name in values:
            raise errors.InvalidInput(f"{SET}: {name} is given twice; give it one value")
        values[name] = config.parse(text, f"{SET} {key}")
    return values


def _checked(values: Mapping[str, Any], *, source: Callable[[str], str]) -> RunArguments:
    """Return flat values as arguments and settings, after checking them as a whole.

    Args:
        values: by name.
        source: returns where a value is from, such as a file, for an error message.

    Raises:
        InvalidInput: the first fault: name, value, bound and what to do.
    """
    declared = hook.settings_of(str(values.get(_CHECK, hook.NO_CHECK)))
    names = () if declared is None else tuple(declared.model_fields)
    known = (*(name for name in RunArguments.model_fields if name != _SETTINGS), *names)
    for name in values:
        if name not in known:
            listed = f"known are {', '.join(known)}" + (", and what the module of check declares" if not names else "")
            hint = validation.hint(name, known, otherwise=listed)
            raise errors.InvalidInput(f"{source(name)}: {name}: unknown argument; {hint}")
    given = {name: value for name, value in values.items() if name in names}
    others = {name: value for name, value in values.items() if name not in names}
    try:
        of_any_run = RunArguments.model_validate({**others, _CHECK: hook.NO_CHECK})
        settings = {} if declared is None else _of_model(declared, given, epsilon=of_any_run.epsilon)
        return RunArguments.model_validate({**others, _SETTINGS: settings})
    except pydantic.ValidationError as error:
        name = str(error.errors(include_url=False)[0]["loc"][0])
        raise errors.InvalidInput(f"{source(name)}: {validation.first_fault(error)}") from None


def _of_model(declared: type[pydantic.BaseModel], settings: object, *, epsilon: float) -> dict[str, Any]:
    """Return settings in the types of their model, none of which may have the name of an argument of every run."""
    for name in declared.model_fields:
        if name in RunArguments.model_fields:
            raise errors.invalid("setting", name, f"of {declared.__module__} is an argument of every run", "rename it")
    return declared.model_validate(settings, context={_EPSILON: epsilon}).model_dump(mode="json")
