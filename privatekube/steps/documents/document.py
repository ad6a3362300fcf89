"""What the documents of a run have in common: one schema version, validation on reading, digests."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import pydantic

from privatekube import errors, validation
from privatekube.storage import local_files

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(pydantic.BaseModel)

SCHEMA_VERSION: Literal[4] = 4
LAST_VERSION = 3
"""Documents of this version are read too: a run may go on after an upgrade."""
Json = dict[str, Any]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Digest = Annotated[str, pydantic.Field(pattern=r"^sha256:[0-9a-f]{64}$")]
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


class Frozen(pydantic.BaseModel, metaclass=_OneLineErrors):
    """Base of a document and of its parts: immutable, unknown fields are errors."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Document(Frozen):
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
