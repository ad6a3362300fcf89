"""Reading a document field by field: what does not fit is refused with its path."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from privatekube import errors

E = TypeVar("E", bound=enum.StrEnum)


class Reader:
    """A document and the path that led to it, for messages."""

    def __init__(self, document: object, path: str) -> None:
        if not isinstance(document, Mapping):
            raise errors.InvalidInput(f"{path or 'document'}: {document!r} is no object; see the resource's fields")
        self._document, self.path = document, path

    def __contains__(self, name: str) -> bool:
        return self._document.get(name) is not None

    def of(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def raw(self, name: str) -> Any:
        """The field as it is, or None."""
        return self._document.get(name)

    def text(self, name: str, default: str | None = None) -> str:
        """A string field.

        Raises:
            InvalidInput: missing where there is no default, or no string.
        """
        value = self._document.get(name, default)
        if not isinstance(value, str):
            raise errors.InvalidInput(f"{self.of(name)}: {value!r} must be a string; give it one")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string field, or None where it is absent or empty."""
        return self.text(name, "") or None if name in self else None

    def whole(self, name: str) -> int | None:
        """An integer field, or None where it is absent.

        Raises:
            InvalidInput: no integer.
        """
        value = self._document.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise errors.InvalidInput(f"{self.of(name)}: {value!r} must be an integer; give it one")

    def count(self, name: str, least: int = 0) -> int | None:
        """An integer field of `least` or more; None where it is absent or 0.

        Raises:
            InvalidInput: no integer, or below its bound.
        """
        value = self.whole(name)
        if value is not None and value < least:
            raise errors.invalid(self.of(name), value, f"must be {least} or more", "change it")
        return value or None

    def text_list(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty where it is absent."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise errors.InvalidInput(f"{self.of(name)}: {value!r} must be a list of texts; change it")
        return tuple(value)

    def texts(self, name: str) -> dict[str, str]:
        """An object field of strings; empty where it is absent."""
        inner = self.child(name)
        return {str(key): inner.text(key) for key in inner.document}

    def child(self, name: str) -> Reader:
        """An object field; empty where it is absent."""
        inner = self._document.get(name)
        return Reader({} if inner is None else inner, self.of(name))

    def children(self, name: str) -> list[Reader]:
        """The objects of a list field; none where it is absent.

        Raises:
            InvalidInput: no list.
        """
        listed = self._document.get(name)
        if listed is None:
            return []
        if not isinstance(listed, Sequence) or isinstance(listed, str):
            raise errors.InvalidInput(f"{self.of(name)}: {listed!r} must be a list; give it one")
        return [Reader(each, f"{self.of(name)}[{index}]") for index, each in enumerate(listed)]

    def entries(self, name: str) -> dict[str, Reader]:
        """The objects of a map field, by key."""
        inner = self.child(name).document
        return {
            str(key): Reader({} if value is None else value, f"{self.of(name)}[{key}]") for key, value in inner.items()
        }

    @property
    def document(self) -> Mapping[str, Any]:
        """The document itself."""
        return self._document


def member(kind: type[E], document: Reader, name: str, default: E | None = None) -> E:
    """A field that names one of `kind`.

    Raises:
        InvalidInput: it names none, with what there is.
    """
    value = document.optional_text(name)
    if value is None and default is not None:
        return default
    try:
        return kind(str(value))
    except ValueError as error:
        known = ", ".join(str(each) for each in kind)
        raise errors.invalid(document.of(name), value, f"is not one of {known}", "use one of them") from error
