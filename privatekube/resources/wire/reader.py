"""Reads a document field by field; a field that is missing or malformed is refused with its path."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from privatekube import errors

E = TypeVar("E", bound=enum.StrEnum)
_INTEGERS, _SHOWN_CHARACTERS = 2**63, 80


def shown(value: object) -> str:
    """Return a value for a message, cut where it is long.

    >>> shown("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."
    """
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


class Reader:
    """A JSON object, and its path for messages."""

    def __init__(self, document: object, path: str) -> None:
        if not isinstance(document, dict | Mapping):  # a dict at once: the check of a protocol is slow
            raise errors.InvalidInput(
                f"{path or 'document'}: {shown(document)} is not an object; see the resource's fields"
            )
        self._document, self.path = document, path

    def __contains__(self, name: str) -> bool:
        return self._document.get(name) is not None

    def path_of(self, name: str) -> str:
        """Return the path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def raw(self, name: str) -> Any:
        """Return the field unparsed, or None."""
        return self._document.get(name)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string field.

        Raises:
            InvalidInput: it is missing and has no default, or is not a string.
        """
        value = self._document.get(name, default)
        if not isinstance(value, str):
            raise errors.InvalidInput(f"{self.path_of(name)}: {shown(value)} must be a string; change it")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a string field, or None where it is absent or empty."""
        return self.text(name, "") or None if name in self else None

    def whole(self, name: str) -> int | None:
        """Return an integer field, or None where it is absent.

        Raises:
            InvalidInput: it is not an integer of 64 bits.
        """
        value = self._document.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < _INTEGERS):
            return value
        raise errors.InvalidInput(f"{self.path_of(name)}: {shown(value)} must be an integer of 64 bits; change it")

    def count(self, name: str, least: int = 0, most: int = _INTEGERS) -> int | None:
        """Return an integer field of `least` to `most`; None where it is absent or 0.

        Raises:
            InvalidInput: it is not an integer, or is not within its bounds.
        """
        value = self.whole(name)
        if value is not None and value < least:
            raise errors.invalid(self.path_of(name), value, f"must be {least} or more", "change it")
        if value is not None and value > most:
            raise errors.invalid(self.path_of(name), value, f"must be at most {most}", "change it")
        return value or None

    def text_list(self, name: str) -> tuple[str, ...]:
        """Return a list of strings; empty where it is absent."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise errors.InvalidInput(f"{self.path_of(name)}: {shown(value)} must be a list of strings; change it")
        return tuple(value)

    def texts(self, name: str) -> dict[str, str]:
        """Return an object field of strings; empty where it is absent."""
        inner = self.child(name)
        return {str(key): inner.text(key) for key in inner.document}

    def child(self, name: str) -> Reader:
        """Return an object field; empty where it is absent."""
        inner = self._document.get(name)
        return Reader({} if inner is None else inner, self.path_of(name))

    def children(self, name: str) -> list[Reader]:
        """Return the objects of a list field; empty where it is absent.

        Raises:
            InvalidInput: it is not a list.
        """
        value = self._document.get(name)
        if value is None:
            return []
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise errors.InvalidInput(f"{self.path_of(name)}: {shown(value)} must be a list; change it")
        return [Reader(item, f"{self.path_of(name)}[{index}]") for index, item in enumerate(value)]

    def entries(self, name: str) -> dict[str, Reader]:
        """Return the objects of a map field, by key."""
        inner = self.child(name).document
        return {
            str(key): Reader({} if value is None else value, f"{self.path_of(name)}[{key}]")
            for key, value in inner.items()
        }

    @property
    def document(self) -> Mapping[str, Any]:
        """The object itself."""
        return self._document


def member(enumeration: type[E], document: Reader, name: str, default: E | None = None) -> E:
    """Return a field that names a member of an enumeration.

    Raises:
        InvalidInput: it names no member; the message lists them.
    """
    value = document.optional_text(name)
    if value is None and default is not None:
        return default
    try:
        return enumeration(str(value))
    except ValueError as error:
        known = ", ".join(enumeration)
        raise errors.invalid(document.path_of(name), value, f"is not one of {known}", "use one of them") from error
