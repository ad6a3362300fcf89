"""Each property tries more examples in `make nightly` than in `make test`."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
FIXED = re.compile(r"max_examples=\d")


def test_no_property_has_the_same_number_of_examples_in_make_nightly() -> None:
    """A slow one says `max_examples=examples(20)`, of `examples.py`; the profiles are declared in `conftest.py`."""
    fixed = [str(path.relative_to(TESTS)) for path in TESTS.rglob("*.py") if FIXED.search(path.read_text())]
    assert fixed == ["conftest.py"]
