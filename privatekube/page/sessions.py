"""The sessions of visitors who gave their token in a form: a cookie names the token, which stays in memory."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class _Session:
    """A token, and when its session ends."""

    token: str = field(repr=False)
    ends_at: float


class Sessions:
    """The tokens by a random name, for some hours; the oldest ends where there are too many.

    Args:
        seconds: how long a session lasts.
        most: how many there are at most.
        elapsed_seconds: a clock that nobody sets.

    Example:
        >>> sessions = Sessions(seconds=60, most=100)
        >>> name = sessions.begin("token")
        >>> sessions.token(name)
        'token'
        >>> sessions.end(name)
        >>> sessions.token(name)
    """

    def __init__(self, *, seconds: float, most: int, elapsed_seconds: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._most, self._elapsed_seconds = most, elapsed_seconds
        self._sessions: dict[str, _Session] = {}

    def begin(self, token: str) -> str:
        """Begin a session; return the name by which its visitor is known."""
        self._end_old()
        if len(self._sessions) >= self._most:
            del self._sessions[next(iter(self._sessions))]
        name = secrets.token_urlsafe(24)
        self._sessions[name] = _Session(token, self._elapsed_seconds() + self.seconds)
        return name

    def token(self, name: str) -> str | None:
        """Return the token of a session; None if there is no such session, or no longer."""
        self._end_old()
        session = self._sessions.get(name)
        return None if session is None else session.token

    def end(self, name: str) -> None:
        """End a session."""
        self._sessions.pop(name, None)

    def _end_old(self) -> None:
        now = self._elapsed_seconds()
        for name in [name for name, session in self._sessions.items() if session.ends_at <= now]:
            del self._sessions[name]
