"""Ed25519 signatures (RFC 8032), as text: whoever has the public key can tell who signed and that nothing changed.

`cryptography` is imported when it is used: the types of the library need no extra.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from privatekube import errors

SEED_BYTES = 32
"""The length of a private key."""
_KEY, _VALUE = re.compile("ed25519:[0-9a-f]{64}"), re.compile("[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature and the key that checks it.

    Args:
        key: the public key, `ed25519:` and 64 hexadecimal digits.
        value: the signature, 128 hexadecimal digits.

    Raises:
        InvalidInput: either is malformed.
    """

    key: str
    value: str

    def __post_init__(self) -> None:
        require_key(self.key)
        if not _VALUE.fullmatch(self.value):
            raise errors.invalid("signature", self.value, "is not 128 hexadecimal digits", "restore the original")

    def is_of(self, message: str) -> bool:
        """Return whether the owner of the key signed `message`."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see the module's docstring
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

        key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.key.partition(":")[2]))
        try:
            key.verify(bytes.fromhex(self.value), message.encode())
        except InvalidSignature:
            return False
        return True


def require_key(text: str) -> str:
    """Return a public key as it is.

    Raises:
        InvalidInput: it is malformed.
    """
    if not _KEY.fullmatch(text):
        raise errors.invalid("public key", text, "is not ed25519: and 64 hexadecimal digits", "restore the original")
    return text


def public_key(seed: bytes) -> str:
    """Return the public key of a private key of `SEED_BYTES` random bytes."""
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - see the module's docstring

    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return f"ed25519:{key.public_bytes_raw().hex()}"


def sign(seed: bytes, message: str) -> Signature:
    """Return the signature of `message` by a private key of `SEED_BYTES` random bytes; it needs no randomness.

    >>> signature = sign(bytes(32), "message")
    >>> signature.is_of("message"), signature.is_of("massage")
    (True, False)
    """
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - see the module's docstring

    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    return Signature(public_key(seed), key.sign(message.encode()).hex())
