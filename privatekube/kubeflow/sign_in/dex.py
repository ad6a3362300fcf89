"""A session of Dex: the form of a user's name and password, as a browser fills it in, answered by a cookie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urljoin, urlsplit

import requests

from privatekube import errors
from privatekube.kubeflow.sign_in.credentials import Credentials
from privatekube.kubeflow.sign_in.secret import Secret
from privatekube.kubeflow.sign_in.settings import Settings
from privatekube.kubeflow.web import Request, Web, place

_FORM = re.compile(r"""<form[^>]*\baction=["']([^"']*)["']""", re.IGNORECASE)
_CHOICE = "/auth"


class Dex(Settings):
    """A user of Dex, as a plain installation of Kubeflow has.

    Args:
        kind: `dex`.
        username: name or e-mail address.
        password: the password, or where it is.
        connector: which connector of Dex has this user: `local` or `ldap`.
    """

    kind: Literal["dex"]
    username: str
    password: Secret
    connector: str = "local"

    def credentials(self, web: Web, *, host: str, folder: Path) -> Credentials:
        """Return the credentials."""
        del folder
        return DexSession(self, web, host)


class DexSession:
    """A cookie in the session of `web`, got by logging in; a new one when the server asks for it.

    Args:
        settings: of the user.
        web: the session.
        host: URL that leads to the login.
    """

    remedy = "check username, password and connector of sign_in"

    def __init__(self, settings: Dex, web: Web, host: str) -> None:
        self._settings, self._web, self._host = settings, web, host
        self._is_signed_in = False

    def headers(self) -> Mapping[str, str]:
        """Log in if need be; the cookie is in the session."""
        if not self._is_signed_in:
            self._log_in()
            self._is_signed_in = True
        return {}

    def renew(self) -> bool:
        """Forget the session."""
        self._web.forget_cookies()
        self._is_signed_in = False
        return True

    def token(self) -> str | None:
        """Return None: a cookie says nothing of itself."""
        return None

    def _log_in(self) -> None:
        password = self._settings.password.read("sign_in: password")
        page = self._web.send(Request("GET", self._host, follow=True))
        if urlsplit(page.url).path.endswith(_CHOICE):  # Dex asks which connector
            chosen = urlsplit(page.url)._replace(path=f"{urlsplit(page.url).path}/{self._settings.connector}")
            page = self._web.send(Request("GET", chosen.geturl(), follow=True))
        if page.status_code in {401, 403}:
            start = urljoin(self._host, "/oauth2/start")  # oauth2-proxy answers API clients without a redirect
            page = self._web.send(Request("GET", start, params={"rd": urlsplit(self._host).path or "/"}, follow=True))
        form = _form(page)
        if form is None:
            raise errors.InvalidInput(
                "sign_in: the host shows no login form of Dex; check host, or choose another kind of sign_in"
            )
        if urlsplit(self._host).scheme == "https" and urlsplit(form).scheme != "https":
            raise errors.InvalidInput(
                f"sign_in: the login form of Dex leads to {place(form)}, which would send the password in clear; have "
                "Dex's issuer begin with https://"
            )
        answer = self._web.send(
            Request("POST", form, form={"login": self._settings.username, "password": password}, follow=True)
        )
        if urlsplit(answer.url).path.endswith("/approval"):
            answer = self._web.send(Request("POST", answer.url, form={"approval": "approve"}, follow=True))
        if _form(answer) is not None or answer.status_code in {401, 403}:
            raise errors.InvalidInput("sign_in: Dex refuses this user and password; check username and password")
        if answer.status_code >= 500:
            raise errors.Temporary(f"sign_in: Dex answered {answer.status_code}; try again")
        if not self._web.has_cookies:
            raise errors.InvalidInput("sign_in: Dex has set no session cookie; check host")


def _form(page: requests.Response) -> str | None:
    """Return the address of the login form on a page; None if it has none."""
    if "password" not in page.text.lower():
        return None
    match = _FORM.search(page.text)
    return urljoin(page.url, match.group(1).replace("&amp;", "&")) if match else page.url
