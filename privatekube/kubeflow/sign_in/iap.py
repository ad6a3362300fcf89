"""Google's Identity-Aware Proxy: an ID token whose audience is the proxy's OAuth client.

A service account signs an assertion that Google's server exchanges for the ID token (docs: "Programmatic
authentication", Authenticating from a service account; RFC 7523), or the metadata server of a pod with workload
identity issues it. A person signs in once in a browser (`iap_person`).
"""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any, Literal

import requests

from privatekube import errors
from privatekube.kubeflow import web as http
from privatekube.kubeflow.sign_in import id_token, secret
from privatekube.kubeflow.sign_in.credentials import Credentials, RenewedToken
from privatekube.kubeflow.sign_in.settings import Settings
from privatekube.kubeflow.web import Request, Web

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_METADATA_VARIABLE = "GCE_METADATA_HOST"
_METADATA = "metadata.google.internal"
_ASSERTION_SECONDS = 3600


class IapServiceAccount(Settings):
    """IAP without a person.

    Args:
        kind: `iap-service-account`.
        client_id: OAuth client of the proxy, which is the audience of the token.
        key: file with the key of a Google service account; None for the identity of this pod or machine.
    """

    kind: Literal["iap-service-account"]
    client_id: str
    key: Path | None = None

    def credentials(self, web: Web, *, host: str, folder: Path) -> Credentials:
        """Return the credentials."""
        del host, web
        sender = Web()  # Google's servers, by the certificates of the system

        def fetch() -> str:
            if self.key is None:
                token = _from_metadata(sender, self.client_id)
            else:
                token = _from_key(sender, folder / self.key.expanduser(), self.client_id)
            id_token.require_audience(token, self.client_id, remedy="check client_id")
            return token

        return RenewedToken(fetch, remedy="check client_id, and that the account may pass the proxy")


def id_token_of(response: requests.Response, *, remedy: str) -> str:
    """Return the ID token that a token endpoint answers with.

    Raises:
        InvalidInput: it refuses; the message has the server's reason, and how wrong this machine's clock is.
        Temporary: it is unavailable.
    """
    document = http.document(response) or {}
    token = document.get("id_token")
    if response.status_code == requests.codes.ok and isinstance(token, str):
        return token
    where = http.place(response.url)
    if response.status_code >= 500 or response.status_code == requests.codes.too_many_requests:
        raise errors.Temporary(f"sign_in: {where} answered {response.status_code}; try again")
    reason = str(document.get("error") or response.status_code)[:80]
    skew = id_token.clock_skew(http.date(response))
    raise errors.InvalidInput(f"sign_in: {where} refuses ({reason}); {skew + ': set it' if skew else remedy}")


def _from_key(web: Web, path: Path, audience: str) -> str:
    name = "sign_in: key"
    try:
        key = json.loads(secret.read_private(path, name))
        endpoint = str(key["token_uri"])
        assertion = _signed(key, endpoint, audience)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise errors.InvalidInput(f"{name}: {path} is not the key of a service account; download it again") from None
    response = web.send(
        Request("POST", endpoint, form={"grant_type": _GRANT, "assertion": assertion}), what="sign_in: token_uri"
    )
    return id_token_of(response, remedy="check the key: it may be deleted or disabled")


def _signed(key: dict[str, Any], endpoint: str, audience: str) -> str:
    """Return an assertion of the service account, signed with its key (RS256)."""
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - only this way needs it
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    now = int(time.time())
    statement = {
        "iss": key["client_email"],
        "aud": endpoint,
        "target_audience": audience,
        "iat": now,
        "exp": now + _ASSERTION_SECONDS,
    }
    header = {"alg": "RS256", "typ": "JWT", "kid": key.get("private_key_id", "")}
    signed = b".".join(_encoded(json.dumps(part).encode()) for part in (header, statement))
    private = serialization.load_pem_private_key(str(key["private_key"]).encode(), password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError("the key of a service account is an RSA key")
    signature = private.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + _encoded(signature)).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _from_metadata(web: Web, audience: str) -> str:
    host = os.environ.get(_METADATA_VARIABLE) or _METADATA
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/identity"
    request = Request(
        "GET", url, headers={"Metadata-Flavor": "Google"}, params={"audience": audience, "format": "full"}
    )
    try:
        response = web.send(request, what="sign_in: metadata server")
    except errors.Temporary as error:
        raise errors.InvalidInput(
            "sign_in: this is no pod or machine of Google Cloud with an identity; name the key of a service account in "
            "sign_in: key"
        ) from error
    if response.status_code != requests.codes.ok:
        raise errors.InvalidInput(
            f"sign_in: the metadata server answered {response.status_code}; bind the pod's account to a Google service "
            "account, see docs/kubeflow.md"
        )
    return response.text.strip()
