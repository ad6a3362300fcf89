"""Read YAML into frozen and checked objects: a run's arguments, and other mappings.

Unknown keys and keys given twice are errors. PyYAML reads `1e-9`, without a dot, as text: text that is a number is
taken as that number.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import pydantic
import yaml

from privatekube import errors, validation
from privatekube.privacy import noisy_steps

Task = Literal["product", "sentiment"]
Architecture = Literal["lstm", "bow", "feedforward"]
Device = Literal["auto", "cpu", "cuda"]


class _Settings(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _refuse_booleans(cls, data: object) -> object:
        for name, value in data.items() if isinstance(data, dict) else ():
            if isinstance(value, bool):
                raise errors.invalid(str(name), value, "is a boolean, not a number or text", "write the value itself")
        return data


class RunArguments(_Settings):
    """The arguments of one run, each of which is a parameter of the pipeline under the same name.

    Args:
        dataset: dataset of the blocks to claim.
        namespace: Kubernetes namespace of the blocks.
        n_blocks: how many blocks to claim: a number, or `all` that match.
        conditions: further conditions on block dimensions, as in an allocate request.
        epsilon: what the whole run may cost.
        delta: of the whole run; well below one over the number of reviews.
        timeout_seconds: how long allocate waits for the budget, in seconds.
        settle_after_seconds: after how many seconds without a sign of life of the run the control plane settles
            its claim.
        plan: text of the plan of the run's mechanisms; the YAML file and `--set` name the file that has it.
        statistics_fraction: share of epsilon for the statistics.
        test_fraction: share of users held out for the evaluation.
        task: what to predict: the `product` category, or `sentiment` (five stars or not).
        model: architecture.
        n_epochs: expected passes over the training users' reviews.
        sampling_rate: Poisson rate at which a unit joins a step; public.
        max_grad_norm: clipping norm of a unit's gradient.
        learning_rate: of the optimizer.
        vocab_size: token ids from this number on are read as unknown words.
        max_text_len: tokens read of each review.
        embedding_dim: size of a token's embedding.
        hidden_dim: size of the hidden layer.
        device: where to train; `auto` uses a GPU if the machine has one.
        seed: of the initial weights, never of noise or sampling.
        organisation: who is responsible for the run; in the privacy card.
        purpose: what the model is for; in the privacy card.
        hyperparameters_chosen: how the values of these arguments were chosen; in the privacy card.
        prefix: directory, or gs:// or s3:// prefix, that gets the published results, one folder per run.
    """

    dataset: validation.Name = "amazon"
    namespace: validation.Name = "privacy-example"
    n_blocks: validation.BlockCount = "all"
    conditions: validation.Conditions = []
    epsilon: validation.Epsilon = 1.0
    delta: validation.Delta = 1e-9
    timeout_seconds: validation.Seconds = 300
    settle_after_seconds: validation.Seconds = 86_400
    plan: validation.Text | None = None
    statistics_fraction: validation.OpenShare = 0.05
    test_fraction: validation.OpenShare = 0.2
    task: Task = "product"
    model: Architecture = "lstm"
    n_epochs: validation.Count = 15
    sampling_rate: validation.Rate = 0.2
    max_grad_norm: validation.ClippingNorm = 1.0
    learning_rate: validation.Positive = 0.015
    vocab_size: validation.VocabularySize = 3000
    max_text_len: validation.Count = 60
    embedding_dim: validation.Count = 32
    hidden_dim: validation.Count = 32
    device: Device = "auto"
    seed: validation.Seed = 0
    organisation: validation.Line = "not stated"
    purpose: validation.Line = "not stated"
    hyperparameters_chosen: validation.Line = "stated by the run's arguments; not tuned on these data by this pipeline"
    prefix: validation.Text = "out"

    @pydantic.model_validator(mode="after")
    def _require_settling_after_waiting(self) -> Self:
        require_settling_after_waiting(self.settle_after_seconds, timeout_seconds=self.timeout_seconds)
        return self

    @pydantic.model_validator(mode="after")
    def _bound_steps(self) -> Self:
        if self.n_epochs / self.sampling_rate > noisy_steps.MOST_STEPS:
            steps = self.n_epochs / self.sampling_rate
            bound = f"takes {steps:,.0f} steps at sampling_rate {self.sampling_rate}, above {noisy_steps.MOST_STEPS:,}"
            raise errors.invalid("n_epochs", self.n_epochs, bound, "lower it, or raise sampling_rate")
        return self


S = TypeVar("S", bound=_Settings)
SET = "--set"
"""The option of the command line that overrides one argument of a run."""


def require_settling_after_waiting(settle_after_seconds: int, *, timeout_seconds: int) -> None:
    """Check that a run is not settled while it may still wait for its budget.

    Raises:
        InvalidInput: it would be.
    """
    if settle_after_seconds <= timeout_seconds:
        bound = f"must be above timeout_seconds, which is {timeout_seconds}"
        raise errors.invalid("settle_after_seconds", settle_after_seconds, bound, "raise it")


_PLAN = "plan"


def load_arguments(path: Path, overrides: Iterable[str] = ()) -> RunArguments:
    """Read a run's arguments and check them as a whole.

    Args:
        path: the YAML file; the file with the plan is looked for in its folder.
        overrides: `key=value` each; they take precedence over the file. A plan is looked for in the working directory.

    Raises:
        InvalidInput: no such file, not a YAML mapping, an unknown key, a key given twice, or a value out of bounds.
    """
    if not path.exists():
        raise errors.InvalidInput(f"{path}: does not exist; run in the folder that has it, or name it with --arguments")
    stated, given = read_mapping(path), _overridden(overrides)
    values, folder = (given, Path()) if _PLAN in given else (stated, path.parent)
    if _PLAN in values:
        values[_PLAN] = _text(folder / str(values[_PLAN]))
    return _checked(RunArguments, stated | given, source=lambda name: SET if name in given else path.name)


def _overridden(overrides: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        name = key.strip()
        if not separator:
            raise errors.invalid(SET, override, "has no '='", f"write {SET} key=value")
        if name in values:
            raise errors.InvalidInput(f"{SET}: {name} is given twice; give it one value")
        values[name] = _parsed(text, f"{SET} {key}")
    return values


def _checked(kind: type[S], values: Mapping[str, Any], *, source: Callable[[str], str]) -> S:
    """Return `values` as a `kind` after checking them as a whole.

    Args:
        kind: the model.
        values: by field.
        source: returns where a value is from, such as a file, for an error message.

    Raises:
        InvalidInput: the first fault: name, value, bound and what to do.
    """
    for name in values:
        if name not in kind.model_fields:
            close = difflib.get_close_matches(str(name), kind.model_fields, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(kind.model_fields)}"
            raise errors.InvalidInput(f"{source(name)}: {name}: unknown argument; {hint}")
    try:
        return kind.model_validate(dict(values))
    except pydantic.ValidationError as error:
        name = str(error.errors(include_url=False)[0]["loc"][0])
        raise errors.InvalidInput(f"{source(name)}: {validation.first_fault(error)}") from None


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        InvalidInput: the file is missing, unreadable, not YAML, not a mapping, or has a key twice.
    """
    document = _parsed(_text(path), path.name)
    return {} if document is None else _mapping(document, str(path))


def parse_mapping(text: str, where: str) -> dict[str, Any]:
    """Return the YAML mapping that a text is; `where` names the text in messages.

    Raises:
        InvalidInput: it is not YAML, not a mapping, or has a key twice.
    """
    document = _parsed(text, where)
    return {} if document is None else _mapping(document, where)


def read_documents(path: Path) -> tuple[dict[str, Any], ...]:
    """Read a file of one or more YAML documents, each a mapping; empty documents are left out.

    Raises:
        InvalidInput: see `read_mapping`.
    """
    text = _text(path)
    with _naming_faults(path.name):
        documents = list(yaml.load_all(text, Loader=_Loader))
    return tuple(_mapping(document, str(path)) for document in documents if document is not None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise errors.InvalidInput(f"{path}: cannot be read ({reason}); name another file") from error


def _mapping(document: object, where: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise errors.InvalidInput(f"{where}: is not a mapping of names to values; write `name: value` lines")
    return document


def _parsed(text: str, where: str) -> Any:
    with _naming_faults(where):
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader


@contextlib.contextmanager
def _naming_faults(where: str) -> Iterator[None]:
    """Raise InvalidInput for what is not YAML; PyYAML answers an impossible date and deep nesting with other errors."""
    try:
        yield
    except _GivenTwice as error:
        raise errors.InvalidInput(f"{where}: {error}; give it one value") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise errors.InvalidInput(f"{where}:{line} is not valid YAML; check indentation and quotes") from error


class _GivenTwice(yaml.YAMLError):
    """A key of a mapping is given twice; YAML 1.2 forbids it, and PyYAML would keep the last value."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with an error for a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise _GivenTwice(f"{name} is given twice")
        return super().construct_mapping(node, deep=deep)
