"""Read what a JSON Web Token says of itself, to explain a refusal; its signature is the server's to check."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any

from privatekube import errors

_SKEW_SECONDS = 60


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a token; empty for a token of another form."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        document = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def lifetime_seconds(token: str) -> float | None:
    """Return how long a token is valid after it was issued; None if it does not say so."""
    stated = claims(token)
    issued, expires = stated.get("iat"), stated.get("exp")
    if not isinstance(issued, int | float) or not isinstance(expires, int | float) or expires <= issued:
        return None
    return float(expires - issued)


def audiences(token: str) -> tuple[str, ...]:
    """Return whom a token is for."""
    audience = claims(token).get("aud", ())
    return (audience,) if isinstance(audience, str) else tuple(str(name) for name in audience or ())


def require_audience(token: str, expected: str, *, remedy: str) -> None:
    """Check that a token is for `expected`.

    Raises:
        InvalidInput: it is for others, or does not say for whom it is.
    """
    if expected not in audiences(token):
        stated = ", ".join(audiences(token)) or "nobody"
        raise errors.InvalidInput(f"sign_in: the token is for {stated}, not for {expected}; {remedy}")


def fault(token: str | None, now: datetime | None) -> str | None:
    """Return why a server whose clock shows `now` must refuse the token; None if the token does not tell."""
    if token is None or now is None:
        return None
    stated = claims(token)
    expires, begins = stated.get("exp"), stated.get("nbf", stated.get("iat"))
    if isinstance(expires, int | float) and expires < now.timestamp():
        return f"the token expired at {_text(expires)}"
    if isinstance(begins, int | float) and begins > now.timestamp() + _SKEW_SECONDS:
        return f"the token begins at {_text(begins)}, which is in the future there: a clock is wrong"
    return None


def clock_skew(now_there: datetime | None) -> str | None:
    """Return how wrong the clock of this machine is by that of a server; None if it is right."""
    if now_there is None:
        return None
    seconds = (datetime.now(UTC) - now_there).total_seconds()
    if abs(seconds) <= _SKEW_SECONDS:
        return None
    return f"the clock of this machine is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"


def _text(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "a time that is not one"
