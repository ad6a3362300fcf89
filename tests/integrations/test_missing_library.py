"""An integration whose library is missing says what to install; the others work without it."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = {"opacus": "training", "dp_accounting": "accounting", "opendp": "privacy"}


@pytest.mark.parametrize(("library", "extra"), LIBRARIES.items())
def test_a_missing_library_is_named_with_the_extra_that_installs_it(library: str, extra: str) -> None:
    program = (
        f"import sys; sys.modules['{library}'] = None\n"
        "from privatekube import errors\n"
        f"try:\n    import privatekube.integrations.{library}\n"
        "except errors.MissingExtra as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"{library}: is not installed; this needs the extra {extra}: pip install 'privatekube[{extra}]'\n"
    )


@pytest.mark.parametrize(
    ("library", "others"), [("dp_accounting", {"torch", "opendp"}), ("opendp", {"torch", "opacus"})]
)
def test_an_integration_needs_no_other_library(library: str, others: set[str]) -> None:
    program = f"import privatekube.integrations.{library}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not others & set(done.stdout.split())
