"""The value of --listen: an address, or one line that says what is wrong with it."""

from __future__ import annotations

import pytest

from privatekube import errors
from privatekube.controller import http_endpoints


@pytest.mark.parametrize(
    ("listen", "address"),
    [("127.0.0.1:8080", ("127.0.0.1", 8080)), ("localhost:0", ("localhost", 0)), ("[::1]:65535", ("::1", 65_535))],
)
def test_an_address_is_a_host_and_a_port(listen: str, address: tuple[str, int]) -> None:
    assert http_endpoints.address(listen) == address


@pytest.mark.parametrize(
    "listen", ["", "8080", ":8080", "localhost", "localhost:", "localhost:http", "localhost:65536", "localhost:\u00b2"]
)
def test_what_is_not_an_address_is_refused_in_one_line(listen: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"^--listen: '[^\n]*' is not an address; write host:port[^\n]*$"):
        http_endpoints.address(listen)
