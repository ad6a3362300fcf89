"""X25519 keys (RFC 7748) of claims, as text: what is released under a claim is sealed to its key until it has paid.

The control plane derives both halves from one secret and the uid of the claim, so that it keeps none of them. It states
the public key when it grants budget, and the private key when the claim has paid in full and its run asks for it.
`cryptography` is imported when it is used: the types of the library need no extra.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from privatekube import errors

SECRET_BYTES = 32
"""The length of the secret from which the keys of all claims are derived."""
_INFO = b"privatekube claim key v1\n"
_PUBLIC, _PRIVATE = "x25519:", "x25519-private:"
_HALF = re.compile(r"(x25519|x25519-private):[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SealingKey:
    """The key of a claim.

    Args:
        public: seals; `x25519:` and 64 hexadecimal digits.
        private: opens; `x25519-private:` and 64 hexadecimal digits. None as long as the claim has not paid.

    Raises:
        InvalidInput: one is malformed.
    """

    public: str
    private: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _require_half(self.public, _PUBLIC)
        if self.private is not None:
            _require_half(self.private, _PRIVATE)

    @classmethod
    def of_claim(cls, secret: bytes, claim_uid: str) -> SealingKey:
        """Return both halves of a claim's key.

        Args:
            secret: of the control plane, `SECRET_BYTES` random bytes.
            claim_uid: the uid of the claim: a claim of the same name that is created later has another key.

        >>> SealingKey.of_claim(bytes(32), "1").withheld == SealingKey.of_claim(bytes(32), "2").withheld
        False
        """
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - see the module's docstring
        from cryptography.hazmat.primitives.asymmetric import x25519  # noqa: PLC0415
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

        derived = HKDF(hashes.SHA256(), SECRET_BYTES, salt=None, info=_INFO + claim_uid.encode()).derive(secret)
        public = x25519.X25519PrivateKey.from_private_bytes(derived).public_key().public_bytes_raw()
        return cls(f"{_PUBLIC}{public.hex()}", f"{_PRIVATE}{derived.hex()}")

    @property
    def withheld(self) -> SealingKey:
        """The key without its private half."""
        return replace(self, private=None)


def raw(half: str) -> bytes:
    """Return the 32 bytes of a public or of a private key."""
    return bytes.fromhex(half.rpartition(":")[2])


def _require_half(text: str, prefix: str) -> None:
    """Check one half of a key; the message does not quote it, because it may be the private one."""
    if not (text.startswith(prefix) and _HALF.fullmatch(text)):
        raise errors.InvalidInput(f"key: is not {prefix} and 64 hexadecimal digits; restore the original")
