"""The privacy unit: neighbouring data sets differ by adding or removing one of these."""

from __future__ import annotations

import enum

from privatekube import errors


class PrivacyUnit(enum.StrEnum):
    """What one unit of protection is; its values are those of documents, data files and blocks.

    >>> PrivacyUnit.parse("user-day") is PrivacyUnit.USER_DAY
    True
    """

    EVENT = "event"
    """One record."""
    USER_DAY = "user-day"
    """All records of one user on one day, up to a stated number of them per block."""
    USER = "user"
    """All records of one user on all days that the blocks declare, up to a stated number of them."""

    @property
    def is_one_record(self) -> bool:
        """Whether a unit is a single record, so that its contribution is bounded by 1."""
        return self is PrivacyUnit.EVENT

    @classmethod
    def parse(cls, text: str) -> PrivacyUnit:
        """Return the unit with that value.

        Raises:
            InvalidInput: the unit is unknown.
        """
        try:
            return cls(text)
        except ValueError as error:
            known = ", ".join(cls)
            raise errors.invalid("unit", text, f"is not one of {known}", "choose one of them") from error
