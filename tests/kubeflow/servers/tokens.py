"""A server that issues real signed tokens as Google's does, and the proxy that checks them; a Dex; certificates."""

from __future__ import annotations

import base64
import functools
import hashlib
import ipaddress
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.kubeflow.servers.http_server import Call, LoopbackServer, Reply

PROXY, DESKTOP, DESKTOP_SECRET = "proxy-client", "desktop-client", "desktop-secret"
ACCOUNT = "robot@project.iam.gserviceaccount.com"
_REDIRECTED, _FOUND = 302, {"local": "/dex/auth/local"}


@functools.cache
def key(name: str) -> rsa.RSAPrivateKey:
    """Return the RSA key of that name."""
    assert name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(private: rsa.RSAPrivateKey) -> bytes:
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return private.private_bytes(encoding, kind, serialization.NoEncryption())


def signed(claims: dict[str, Any], *, by: str = "issuer") -> str:
    """Return a JSON Web Token (RS256)."""
    parts = [_encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
    text = ".".join(parts)
    return f"{text}.{_encoded(key(by).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def verified(token: str, *, by: str = "issuer") -> dict[str, Any] | None:
    """Return the claims of a token that the key has signed; None for any other."""
    text, _, signature = token.rpartition(".")
    try:
        key(by).public_key().verify(_decoded(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return None
    claims: dict[str, Any] = json.loads(_decoded(text.partition(".")[2]))
    return claims


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate of 127.0.0.1 with its key, and return the file."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key("tls").public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key("tls"), hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(pem(key("tls")) + built.public_bytes(serialization.Encoding.PEM))
    return path


@dataclass(frozen=True)
class Proxy:
    """Lets a call pass that has a token of the issuer for this audience, by the clock of the server."""

    audience: str = PROXY

    def refusal(self, call: Call, now: float) -> Reply | None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer":
            return Reply(_REDIRECTED, b"", {"Location": "https://accounts.example.org/o/oauth2/v2/auth"})
        claims = verified(token)
        if claims is None:
            return Reply(401, b"Invalid IAP credentials: bad signature")
        if claims["aud"] != self.audience:
            return Reply(401, b"Invalid IAP credentials: JWT audience doesn't match this application")
        if not claims["iat"] - 30 <= now <= claims["exp"]:
            return Reply(401, b"Invalid IAP credentials: expired")
        return None


class Issuer(LoopbackServer):
    """Google's token endpoint and sign-in page, and the metadata server of a pod."""

    lifetime_seconds = 3600

    def __init__(self) -> None:
        super().__init__()
        self.codes: dict[str, str] = {}
        self.refresh_tokens = {"refresh-1"}
        self.wrong_audience: str | None = None

    def answer(self, call: Call) -> Reply:
        if call.path == "/authorize":
            assert call.query["code_challenge_method"] == "S256"
            self.codes["code-1"] = call.query["code_challenge"]
            target = call.query["redirect_uri"] + "?" + urlencode({"code": "code-1", "state": call.query["state"]})
            return Reply(_REDIRECTED, b"", {"Location": target})
        if call.path.endswith("/default/identity"):
            assert call.headers["metadata-flavor"] == "Google"
            return Reply(200, self.token(call.query["audience"]).encode())
        return getattr(self, "_" + call.form["grant_type"].rpartition(":")[2].replace("-", "_"))(call.form)  # type: ignore[no-any-return]

    def token(self, audience: str) -> str:
        now = int(self.now)
        claims = {"iss": "https://issuer", "aud": self.wrong_audience or audience, "iat": now}
        return signed(claims | {"exp": now + self.lifetime_seconds})

    def key_file(self, folder: Path) -> Path:
        path = folder / "service-account.json"
        path.touch(mode=0o600)
        content = {"client_email": ACCOUNT, "token_uri": f"{self.url}/token", "private_key_id": "1"}
        path.write_text(json.dumps(content | {"private_key": pem(key("account")).decode()}))
        return path

    def _jwt_bearer(self, form: dict[str, str]) -> Reply:
        claims = verified(form["assertion"], by="account")
        if claims is None or claims["iss"] != ACCOUNT:
            return Reply(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        assert claims["aud"] == f"{self.url}/token"
        if not claims["iat"] - 300 <= self.now <= claims["exp"]:
            return Reply(400, {"error": "invalid_grant", "error_description": "not in a reasonable timeframe"})
        return Reply(200, {"id_token": self.token(claims["target_audience"])})

    def _refresh_token(self, form: dict[str, str]) -> Reply:
        if (form["client_id"], form["client_secret"]) != (DESKTOP, DESKTOP_SECRET):
            return Reply(401, {"error": "invalid_client"})
        if form["refresh_token"] not in self.refresh_tokens:
            return Reply(400, {"error": "invalid_grant"})
        return Reply(200, {"id_token": self.token(form["audience"])})

    def _authorization_code(self, form: dict[str, str]) -> Reply:
        challenge = _encoded(hashlib.sha256(form["code_verifier"].encode()).digest())
        if self.codes.pop(form["code"], None) != challenge:
            return Reply(400, {"error": "invalid_grant"})
        if (form["client_id"], form["client_secret"]) != (DESKTOP, DESKTOP_SECRET):
            return Reply(401, {"error": "invalid_client"})
        return Reply(200, {"id_token": self.token(DESKTOP), "refresh_token": "refresh-1"})


@dataclass
class Dex:
    """The pages in front of Kubeflow that lead to a session cookie."""

    password: str = "hunter2"  # noqa: S105 - of a test
    session: str = "session-1"

    def refusal(self, call: Call, _now: float) -> Reply | None:  # noqa: PLR0911 - one for each page
        if call.path == "/dex/auth":
            return Reply(200, b'<a href="/dex/auth/local">e-mail</a> <a href="/dex/auth/ldap">LDAP</a>')
        if call.path == "/dex/auth/local":
            return Reply(_REDIRECTED, b"", {"Location": "/dex/auth/local/login?state=s"})
        if call.path == "/dex/auth/local/login":
            return self._login(call)
        if call.path == "/dex/approval" and call.method == "GET":
            return Reply(200, b'<form method="post"><input name="approval"></form>')
        if call.path == "/dex/approval":
            assert call.form["approval"] == "approve"
            cookie = f"oauth2_proxy_kubeflow={self.session}; Path=/; HttpOnly"
            return Reply(303, b"", {"Location": "/", "Set-Cookie": cookie})
        if f"oauth2_proxy_kubeflow={self.session}" not in call.headers.get("cookie", ""):
            return Reply(_REDIRECTED, b"", {"Location": "/dex/auth?client_id=kubeflow"})
        return None

    def _login(self, call: Call) -> Reply:
        form = b'<form method="post" action="/dex/auth/local/login?state=s&amp;x=1"><input type="password"></form>'
        if call.method == "GET":
            return Reply(200, form)
        assert call.query["state"] == "s"
        if (call.form["login"], call.form["password"]) != ("user@example.com", self.password):
            return Reply(200, b"Invalid Email Address and password." + form)
        return Reply(303, b"", {"Location": "/dex/approval"} if call.query.get("x") else {})


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
