"""Send HTTP requests: never along a redirect unless asked to, with time-outs, and each error as one line.

kfp.Client is not used for it: environment variables and files in ~/.config/kfp override what it is given, it repeats
requests for half a minute, and it takes a login page for an answer (docs/decisions/0046).
"""

from __future__ import annotations

import email.utils
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from privatekube import errors

TIMEOUT_SECONDS = (5.0, 30.0)
"""To connect, and to read the answer."""
_WRONG_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.UnrewindableBodyError,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What to send.

    Args:
        method: such as GET.
        url: where to.
        headers: of the request.
        params: of the query.
        json: the body as JSON; None for none.
        form: the body as a form; None for none.
        follow: whether to follow redirects.
    """

    method: str
    url: str
    headers: Mapping[str, str] | None = None
    params: Mapping[str, Any] | None = None
    json: Any = None
    form: Mapping[str, str] | None = None
    follow: bool = False


class Web:
    """A session of HTTP requests with its cookies.

    Args:
        ca_cert: file with the certificates to check servers with; None for those of the system's Python.
        verify: whether to check them.
    """

    def __init__(self, *, ca_cert: Path | None = None, verify: bool = True) -> None:
        self._session = requests.Session()
        self._session.auth = _unchanged  # else requests replaces the header by what ~/.netrc has for the host
        self._verify: bool | str = str(ca_cert) if ca_cert is not None and verify else verify

    def send(self, request: Request, *, what: str = "host") -> requests.Response:
        """Send a request and return the response, whatever its status.

        Args:
            request: what to send.
            what: name of the setting that has the URL, for messages.

        Raises:
            InvalidInput: the URL is wrong, or the server's certificate is refused.
            Temporary: the server cannot be reached.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
                return self._session.request(
                    request.method,
                    request.url,
                    headers=dict(request.headers or {}),
                    params=request.params,
                    json=request.json,
                    data=request.form,
                    timeout=TIMEOUT_SECONDS,
                    allow_redirects=request.follow,
                    verify=self._verify,
                )
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise translation(error, request.url, what) from None  # the cause's text may quote the request

    def forget_cookies(self) -> None:
        """Forget the cookies of the session."""
        self._session.cookies.clear()

    @property
    def has_cookies(self) -> bool:
        """Whether a server has set a cookie."""
        return bool(self._session.cookies)


def translation(error: Exception, url: str, what: str) -> errors.PrivateKubeError:
    """Return this project's error for one of requests or urllib3; it quotes no part of the request but its host."""
    host, text = place(url), repr(error)
    if isinstance(error, requests.exceptions.SSLError):
        return errors.InvalidInput(
            f"{what}: the certificate of {host} is refused ({_tls_reason(text)}); name the file with its certificate "
            "authority in ca_cert, or correct the address"
        )
    if isinstance(error, _WRONG_ADDRESS):
        return errors.InvalidInput(f"{what}: {host} is not an address ({type(error).__name__}); correct it")
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return errors.InvalidInput(f"{what}: {host} redirects without end; check host and sign_in")
    return errors.Temporary(f"{what}: {host} cannot be reached: {_outage(error, text)}")


def _outage(error: Exception, text: str) -> str:
    """Return why a server cannot be reached, and what to do."""
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refuses; check HTTPS_PROXY and NO_PROXY"
    if isinstance(error, requests.exceptions.Timeout):
        return "it did not answer in time; check host and network, and try again"
    if "NameResolutionError" in text:
        return "its name is not known; check host and network"
    if "refused" in text:
        return "it refuses connections; check host and network"
    return f"{type(error).__name__}; check host and network"


def place(url: str) -> str:
    """Return the scheme and host of a URL, without a password, path or query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the address"
    return f"{parts.scheme}://{parts.hostname or '?'}{port}"


def date(response: requests.Response) -> datetime | None:
    """Return the time that the server's clock shows; None if it does not say."""
    try:
        return email.utils.parsedate_to_datetime(response.headers.get("Date", ""))
    except (ValueError, TypeError):
        return None


def document(response: requests.Response) -> dict[str, Any] | None:
    """Return a response's JSON mapping; None for anything else."""
    try:
        content = response.json()
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _tls_reason(text: str) -> str:
    for part, reason in (
        ("self-signed", "self-signed"),
        ("self signed", "self-signed"),
        ("unable to get local issuer", "unknown certificate authority"),
        ("has expired", "expired"),
        ("not yet valid", "not yet valid: is the clock right?"),
        ("doesn't match", "for another name"),
        ("match", "for another name"),
        ("WRONG_VERSION_NUMBER", "it does not speak TLS: is it http://?"),
        ("no certificate or crl found", "the file of ca_cert has no certificate"),
    ):
        if part in text:
            return reason
    return "TLS failed"
