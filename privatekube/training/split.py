"""The split into training and test users, by a keyed hash of each user alone.

The part of a record depends on no other record, so adding or removing a record moves no other record, and no
user is in both parts. Training and evaluation then run on disjoint units and compose in parallel.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from privatekube import errors

_TEST_KEY = b"privatekube train/test split 1"
_VALIDATION_KEY = b"privatekube validation split 1"
_AT_ONCE = 1 << 20
"""Records whose users are hashed at a time."""


def is_test(user: npt.NDArray[np.int64], fraction: float) -> npt.NDArray[np.bool_]:
    """Whether each record is in the test part.

    Args:
        user: int64 [N], the records' users.
        fraction: expected share of users in the test part, in (0, 1).

    Returns:
        bool [N].

    Raises:
        InvalidInput: the fraction is outside (0, 1).

    >>> is_test(np.array([1, 2, 3, 2]), 0.5).tolist()
    [False, False, True, False]
    """
    if not 0 < fraction < 1:
        raise errors.invalid("test_fraction", fraction, "must lie in (0, 1)", "0.2 is usual")
    return _is_below(user, fraction, key=_TEST_KEY)


def is_validation(user: npt.NDArray[np.int64], fraction: float) -> npt.NDArray[np.bool_]:
    """Whether each training record is in the part on which a search scores its trials; see `is_test`.

    It is another hash of the user: the same share of test and of training users.
    """
    return _is_below(user, fraction, key=_VALIDATION_KEY)


def _is_below(user: npt.NDArray[np.int64], fraction: float, *, key: bytes) -> npt.NDArray[np.bool_]:
    bound, chosen = int(fraction * 2**64), np.empty(len(user), np.bool_)
    for first in range(0, len(user), _AT_ONCE):
        users, records = np.unique(np.asarray(user[first : first + _AT_ONCE], dtype=np.int64), return_inverse=True)
        below = np.fromiter((_hash(number, key) < bound for number in users), dtype=np.bool_, count=len(users))
        chosen[first : first + _AT_ONCE] = below[records]
    return chosen


def _hash(user: np.int64, key: bytes) -> int:
    digest = hashlib.blake2b(int(user).to_bytes(8, "big", signed=True), digest_size=8, key=key)
    return int.from_bytes(digest.digest(), "big")
