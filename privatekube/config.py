"""Read YAML, and the base of frozen and checked objects that it is read into.

Unknown keys and keys given twice are errors. PyYAML reads `1e-9`, without a dot, as text: text that is a number is
taken as that number.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

from privatekube import errors

Device = Literal["auto", "cpu", "cuda"]
"""Where to compute; `auto` is a GPU if the machine has one."""


class Checked(pydantic.BaseModel):
    """Base of what YAML is read into: frozen, without unknown keys, and without booleans in place of numbers."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _refuse_booleans(cls, data: object) -> object:
        for name, value in data.items() if isinstance(data, dict) else ():
            if isinstance(value, bool):
                raise errors.invalid(str(name), value, "is a boolean, not a number or text", "write the value itself")
        return data


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        InvalidInput: the file is missing, unreadable, not YAML, not a mapping, or has a key twice.
    """
    document = parse(read_text(path), path.name)
    return {} if document is None else _mapping(document, str(path))


def parse_mapping(text: str, where: str) -> dict[str, Any]:
    """Return the YAML mapping that a text is; `where` names the text in messages.

    Raises:
        InvalidInput: it is not YAML, not a mapping, or has a key twice.
    """
    document = parse(text, where)
    return {} if document is None else _mapping(document, where)


def read_documents(path: Path) -> tuple[dict[str, Any], ...]:
    """Read a file of one or more YAML documents, each a mapping; empty documents are left out.

    Raises:
        InvalidInput: see `read_mapping`.
    """
    text = read_text(path)
    with _naming_faults(path.name):
        documents = list(yaml.load_all(text, Loader=_Loader))
    return tuple(_mapping(document, str(path)) for document in documents if document is not None)


def read_text(path: Path) -> str:
    """Read a file of UTF-8 text.

    Raises:
        InvalidInput: it cannot be read, or is something else.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise errors.InvalidInput(f"{path}: cannot be read ({reason}); name another file") from error


def _mapping(document: object, where: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise errors.InvalidInput(f"{where}: is not a mapping of names to values; write `name: value` lines")
    return document


def parse(text: str, where: str) -> Any:
    """Return the YAML value that a text is; `where` names the text in messages.

    Raises:
        InvalidInput: it is not YAML, or has a key twice.
    """
    with _naming_faults(where):
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader


@contextlib.contextmanager
def _naming_faults(where: str) -> Iterator[None]:
    """Raise InvalidInput for what is not YAML; PyYAML answers deep nesting and long numbers with other errors."""
    try:
        yield
    except _GivenTwice as error:
        raise errors.InvalidInput(f"{where}: {error}; give it one value") from error
    except _NotADate as error:
        raise errors.InvalidInput(f"{where}: {error}; correct it, or put it in quotes") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise errors.InvalidInput(f"{where}:{line} is not valid YAML; check indentation and quotes") from error


class _GivenTwice(yaml.YAMLError):
    """A key of a mapping is given twice; YAML 1.2 forbids it, and PyYAML would keep the last value."""


class _NotADate(yaml.YAMLError):
    """A value is written as a date that the calendar does not have."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with an error for a key that is given twice and one for an impossible date."""

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError as error:
            raise _NotADate(f"line {node.start_mark.line + 1}: {node.value} is not a date") from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise _GivenTwice(f"{name} is given twice")
        return super().construct_mapping(node, deep=deep)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)
