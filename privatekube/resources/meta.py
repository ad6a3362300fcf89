"""Identity and conditions of both kinds of resources, as in Kubernetes' ObjectMeta and status.conditions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from privatekube import errors, validation

GROUP = "columbia.github.com"
API_VERSION = f"{GROUP}/v1"
CONTENT_DIGEST = "privacy.columbia.github.com/content-digest"
"""Annotation of a block: the digest of the data behind it."""
DATA_IDENTITY = "privacy.columbia.github.com/data-identity"
"""Annotation of a block: the name of the identity of its data; the identity itself is private."""
CREATED_BY = "privacy.columbia.github.com/created-by"
"""Annotation of a claim in a cluster: the user who created it. The API server refuses another name."""
REFUSED_VERSION = "privacy.columbia.github.com/refused-version"
"""Annotation of a claim: the version at which the store refused every answer; writing it makes a later version."""

RESTORED_FROM = "privacy.columbia.github.com/restored-from"
"""Annotation of a claim that a restore created: the uid that it had in the backup."""

_NAME = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,251}[A-Za-z0-9])?")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """Identity of an object.

    Args:
        name: of the object, unique in its namespace.
        namespace: of the object.
        uid: of this creation of it, given by the store; empty when new.
        resource_version: changes with every write; a conditional write names the one it read. Empty when new.
        creation_time_ms: unix milliseconds; None before the first write.
        generation: number of changes of the spec.
        annotations: facts about it by name, such as the digest of a block's data.
        labels: for selection by tools.
        other: metadata that this project does not read, preserved unchanged; managedFields are left to the API server.

    >>> ObjectMeta("monday", "team").id
    'team/monday'
    """

    name: str
    namespace: str
    uid: str = ""
    resource_version: str = ""
    generation: int = 1
    creation_time_ms: int | None = None
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    other: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    def __post_init__(self) -> None:
        for field_name, value in (("name", self.name), ("namespace", self.namespace)):
            validation.require_type(f"metadata.{field_name}", value, str)
            if not _NAME.fullmatch(value):
                bound = "must be letters, digits, '-', '_' or '.', and begin and end with a letter or digit"
                raise errors.invalid(f"metadata.{field_name}", value, bound, "rename it")

    @property
    def id(self) -> str:
        """The id used inside status maps: `namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def is_deleted(self) -> bool:
        """Whether it is marked for deletion; it is removed once its committed budget is recorded."""
        return "deletionTimestamp" in self.other


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of status.conditions, like Kubernetes' meta/v1 Condition."""

    type: str
    status: bool
    reason: str
    message: str
    last_transition_ms: int
    observed_generation: int = 1


def format_time(unix_ms: int) -> str:
    """Return unix milliseconds in the form of Kubernetes' times, with milliseconds unless they are zero.

    >>> format_time(1500)
    '1970-01-01T00:00:01.500Z'
    """
    seconds, rest = divmod(unix_ms, 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:03d}Z" if rest else f"{text}Z"


def parse_time(text: str, path: str) -> int:
    """Return the unix milliseconds of an RFC 3339 time.

    Raises:
        InvalidInput: the text is not such a time; the message has its path.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise errors.invalid(path, text, "is not an RFC 3339 time", "write it like 2026-01-31T12:00:00Z") from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
