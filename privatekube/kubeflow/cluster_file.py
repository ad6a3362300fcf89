"""Read client_secrets.yaml: where Kubeflow Pipelines is, how to sign in, and where images, data and results go.

No message quotes a value of this file. Its secrets may be references; a file that holds one must be its owner's alone.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import pydantic

from privatekube import config, errors, validation
from privatekube.kubeflow.sign_in import secret
from privatekube.kubeflow.sign_in.kinds import SignIn
from privatekube.kubeflow.sign_in.settings import Settings
from privatekube.kubeflow.sign_in.tokens import NoSignIn

FILE = Path("client_secrets.yaml")
EXAMPLE = "client_secrets.example.yaml"
_MOVED = {
    "existing_token": "sign_in: {kind: token, value: file:PATH}",
    "client_id": "sign_in: {kind: iap, client_id: ...}",
    "other_client_id": "sign_in: {kind: iap, desktop_client_id: ...}",
    "other_client_secret": "sign_in: {kind: iap, desktop_client_secret: file:PATH}",
}
"""Keys of earlier versions, and what to write in their place."""

Name = Annotated[str, validation.spelled(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", validation.LABEL)]
"""A name in Kubernetes (RFC 1123 label)."""
Place = Annotated[str, validation.spelled(r"[a-z][a-z0-9+]*://\S+", "a gs:// or s3:// prefix")]


class ClusterFile(Settings):
    """The connection to a cluster.

    Args:
        host: URL of the Kubeflow Pipelines API, as the browser has it, such as https://kubeflow.example.org/pipeline.
        namespace: profile of the runs; None in an installation of one user.
        service_account: Kubernetes service account of the runs' pods; None for the one of the installation.
        experiment: experiment of the runs.
        repo: registry and prefix of the component images.
        data: gs:// or s3:// prefix that all blocks of a run must have their data below; None for any.
        prefix: gs:// or s3:// prefix where runs publish.
        pipeline_root: where Kubeflow keeps the artifacts of runs; None for where the installation does.
        sign_in: how to sign in.
        ca_cert: file with the certificate authority of the host, if the system does not know it.
        verify_ssl: whether to check the host's certificate.
        folder: folder of the file, which relative paths start from.
    """

    host: Annotated[str, validation.spelled(r"https?://[^\s@]+", "a URL that begins with https:// or http://")]
    namespace: Name | None = None
    service_account: Name | None = None
    experiment: Annotated[str, pydantic.Field(min_length=1, max_length=128)] = "privatekube"
    repo: str | None = None
    data: Place | None = None
    prefix: Place | None = None
    pipeline_root: Place | None = None
    sign_in: SignIn = NoSignIn()
    ca_cert: Path | None = None
    verify_ssl: pydantic.StrictBool = True
    folder: Annotated[Path, pydantic.Field(exclude=True)] = Path()

    @pydantic.model_validator(mode="after")
    def _require_encryption(self) -> Self:
        """Refuse to send credentials over a network in clear."""
        is_signed = not isinstance(self.sign_in, NoSignIn)
        if is_signed and self.host.startswith("http://") and not _is_near(urlsplit(self.host).hostname or ""):
            raise ValueError("host: http:// would send the credentials in clear; write https://, or forward a port")
        return self

    @property
    def url(self) -> str:
        """The host without a slash at its end."""
        return self.host.rstrip("/")


def load(path: Path = FILE) -> ClusterFile:
    """Read the file.

    Raises:
        InvalidInput: it is missing, a key is unknown, of an earlier version or given twice, a value is out of bounds,
            or it holds a secret and others can read it.
    """
    if not path.exists():
        raise errors.InvalidInput(f"{path}: does not exist; copy {EXAMPLE} to it and fill it in")
    values = config.read_mapping(path)
    _require_known(path, values)
    folder = path.resolve().parent
    try:
        content = ClusterFile.model_validate({**values, "folder": folder}, context={secret.FOLDER: folder})
    except pydantic.ValidationError as error:
        raise errors.InvalidInput(f"{path.name}: {_fault(error)}; see {EXAMPLE}") from None
    if content.ca_cert is not None and not (folder / content.ca_cert.expanduser()).is_file():
        raise errors.InvalidInput(f"{path.name}: ca_cert: is not a file; name the PEM file of the host's authority")
    if content.sign_in.holds_secret:
        secret.require_private(path, path.name)
    return content


def _require_known(path: Path, values: dict[str, Any]) -> None:
    for name in values:
        if name in _MOVED:
            raise errors.InvalidInput(f"{path.name}: {name}: is of an earlier version; write {_MOVED[name]}")
        if name == "folder" or name not in ClusterFile.model_fields:
            hint = validation.hint(name, ClusterFile.model_fields, otherwise=f"see {EXAMPLE}")
            raise errors.InvalidInput(f"{path.name}: {str(name)[:40]}: unknown key; {hint}")


def _fault(error: pydantic.ValidationError) -> str:
    """Return the first fault: where, and what is wrong, without the value."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = ": ".join(str(part) for part in fault["loc"])
    reason = validation.bound_of(fault)
    if fault["type"] == "union_tag_invalid":  # the message quotes what was written
        reason = "is not a known kind; use iap, iap-service-account, token, dex, in-cluster or none"
    return f"{name}: {reason}" if name else reason


def _is_near(host: str) -> bool:
    """Whether a host is on this machine or inside the cluster's own network."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".svc", ".cluster.local"))
    return address.is_loopback
