"""The seam between a way to sign in and the API: headers for a request, and whether others can be had."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from privatekube.kubeflow.sign_in import id_token

RENEW_BEFORE_SECONDS = 120.0
"""How long before its end a token is replaced; at most a fifth of its lifetime."""
WITHOUT_EXPIRY_SECONDS = 300.0
"""How long a token is used that does not say when it ends."""


class Credentials(Protocol):
    """A way to sign in.

    Example of one that always sends the same header:
        >>> class Fixed:
        ...     remedy = "ask the administrator"
        ...     def headers(self): return {"X-User": "me"}
        ...     def renew(self): return False
        ...     def token(self): return None
    """

    @property
    def remedy(self) -> str:
        """What to do if the server refuses these credentials."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that sign a request.

        Raises:
            InvalidInput: there are no credentials, or they are refused.
            Temporary: the server that issues them cannot be reached.
        """

    def renew(self) -> bool:
        """Forget what was refused; return whether `headers` gives others now."""

    def token(self) -> str | None:
        """Return the token that is in use, to explain a refusal; None if there is none."""


class RenewedToken:
    """A token that is fetched again before it ends.

    The clock is a monotonic one: a wrong date of this machine does not matter.

    Args:
        fetch: obtains a new token.
        remedy: what to do if the server refuses it.
        clock: returns seconds.
    """

    def __init__(self, fetch: Callable[[], str], *, remedy: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock, self.remedy = fetch, clock, remedy
        self._token: str | None = None
        self._renew_at = 0.0

    def headers(self) -> Mapping[str, str]:
        """Return the token as a bearer token."""
        if self._token is None or self._clock() >= self._renew_at:
            self._token = self._fetch()
            lifetime = id_token.lifetime_seconds(self._token) or WITHOUT_EXPIRY_SECONDS
            self._renew_at = self._clock() + lifetime - min(RENEW_BEFORE_SECONDS, lifetime / 5)
        return {"Authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        """Forget the token."""
        self._token = None
        return True

    def token(self) -> str | None:
        """Return the token."""
        return self._token
