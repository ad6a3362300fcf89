"""Who gets notifications: a webhook, by POST, or a command, on its standard input."""

from __future__ import annotations

import http.client
import os
import shlex
import shutil
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from privatekube import errors
from privatekube.controller.notifications import Send

_SECONDS = 10.0
"""How long a webhook may be silent, and how long a command may run."""
_SOME_TIME_LATER = {408, 425, 429}
"""Answers of the 400s that say nothing about the message."""


def receiver(text: str) -> Send:
    """Return what delivers to a webhook or to a command, whichever a text names.

    The text is never part of a message: it may hold a secret.

    Args:
        text: a URL with http or https, or a command with its arguments as in a shell, whose program exists.

    Raises:
        InvalidInput: it is neither.
    """
    if "://" in text.partition(" ")[0]:
        return _webhook(text)
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise errors.InvalidInput("--notify: is neither an http or https URL nor a command that exists; write one")
    return _command([program, *words[1:]])


def _webhook(url: str) -> Send:
    try:
        parts = urllib.parse.urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_url = False
    if is_url and "@" in parts.netloc:
        raise errors.InvalidInput("--notify: is not a URL without a user; write a command that sends the password")
    if not is_url or not url.isascii() or not url.isprintable() or " " in url:
        raise errors.InvalidInput("--notify: is not an http or https URL; write it like https://HOST/PATH")
    opener = urllib.request.build_opener(_NoRedirect)

    def post(body: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "privatekube-controller"}
        request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - http or https, as checked
        try:
            with opener.open(request, timeout=_SECONDS):
                return
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error.code) from None
        except (OSError, ValueError, http.client.HTTPException) as error:  # of the network, or of what answers there
            raise errors.StoreBusy(f"the webhook cannot be reached ({type(error).__name__})") from None

    return post


def _refused(status: int) -> errors.PrivateKubeError:
    message = f"the webhook answered {status}"
    if status >= 500 or status in _SOME_TIME_LATER:
        return errors.StoreBusy(message)
    return errors.InvalidInput(message)


def _command(words: Sequence[str]) -> Send:
    def run(body: bytes) -> None:
        try:
            process = subprocess.Popen(  # noqa: S603 - what the operator of the controller has named
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise errors.StoreBusy(f"the command cannot be run ({type(error).__name__})") from None
        with process:
            try:
                process.communicate(body, timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                raise errors.StoreBusy(f"the command took more than {_SECONDS:g} s") from None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # with all that it has started
        if process.returncode != 0:
            raise errors.StoreBusy(f"the command ended with status {process.returncode}")

    return run


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the message goes where its user said, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse every redirect; the answer then is an error of its status."""
