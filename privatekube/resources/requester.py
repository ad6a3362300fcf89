"""Who requests budget, and why: the user, the team it is for, and the purpose."""

from __future__ import annotations

import re
from dataclasses import dataclass

from privatekube import errors, plain_text, validation
from privatekube.resources import bounds

USER, TEAM, PURPOSE = 1024, 63, 1000
"""Characters of the name of a user, of a team, and of a purpose."""


@dataclass(frozen=True, slots=True)
class Requester:
    r"""Who requests budget, and why; None where it is not stated.

    Args:
        user: in a cluster the authenticated user, which the API server checks; on a laptop the login.
        team: whom the budget is for; a quota may be of a team.
        purpose: what the results are for, in one line.

    >>> Requester(user="ann", team="ads", purpose="click\x1b[2J")
    Traceback (most recent call last):
    privatekube.errors.InvalidInput: purpose: 'click\x1b[2J' has a character that is not plain text; leave it out
    """

    user: str | None = None
    team: str | None = None
    purpose: str | None = None

    def __post_init__(self) -> None:
        bounds.require_text("requestedBy", self.user, USER, least=1)
        bounds.require_text("team", self.team, TEAM, least=1)
        bounds.require_text("purpose", self.purpose, PURPOSE, least=1)
        if self.team is not None and not re.fullmatch(validation.TEAM_PATTERN, self.team):
            raise errors.invalid("team", self.team, f"must be {validation.TEAM_IN_WORDS}", "change it")
        for name, text in (("requestedBy", self.user), ("purpose", self.purpose)):
            if text is not None and not plain_text.is_plain(text):
                raise errors.invalid(name, text, "has a character that is not plain text", "leave it out")
