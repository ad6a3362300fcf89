"""Errors of the HTTP library: each one of its classes becomes one line of this project."""

from __future__ import annotations

import contextlib
import inspect

import pytest
import requests
import urllib3

from privatekube import errors
from privatekube.kubeflow import web

KINDS = [
    kind
    for module, base in (
        (requests.exceptions, requests.exceptions.RequestException),
        (urllib3.exceptions, urllib3.exceptions.HTTPError),
    )
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, base)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_each_error_of_the_library_is_one_line_without_what_it_quotes(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    error.args = ("secret-path\nsecond line",)
    for name in ("partial", "expected", "length", "response"):  # what the messages of some classes need
        with contextlib.suppress(AttributeError):
            setattr(error, name, 1)
    translated = web.translation(error, "https://user:sesame@h.example:8/secret-path?q=1", "host")
    assert isinstance(translated, errors.InvalidInput | errors.Temporary)
    assert "https://h.example:8" in str(translated)
    assert not any(word in str(translated) for word in ("sesame", "secret-path", "\n"))
    is_wrong = issubclass(kind, (requests.exceptions.SSLError, ValueError)) and not issubclass(
        kind, requests.exceptions.JSONDecodeError
    )
    assert isinstance(translated, errors.InvalidInput) or not is_wrong or kind.__module__.startswith("urllib3")
