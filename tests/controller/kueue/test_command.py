"""`python -m privatekube.controller.kueue` refuses bad options before it connects to anything."""

from __future__ import annotations

import pytest

from privatekube import errors
from privatekube.controller.kueue import __main__ as command


@pytest.mark.parametrize("hold", ["0s", "999ms", "2d", "soon", ""])
def test_a_time_to_hold_quota_is_a_second_to_a_day(hold: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"^--hold: '[^']*' [^\n]+; write it like [^\n]+$"):
        command.main(hold=hold)


def test_an_address_without_a_port_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match=r"^--listen: 'here' is not an address; write host:port"):
        command.main(listen="here")
