"""The connection to an API server: a pod's own service account, a context of a kubeconfig, or a token to read with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from typing_extensions import override

from privatekube import errors

_IN_CLUSTER = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
_CONNECTIONS = 32
_WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def log_in(
    *, in_cluster: bool | None = None, kubeconfig: Path | None = None, context: str | None = None
) -> client.ApiClient:
    """Connect to the API server.

    Args:
        in_cluster: whether to use the service account of the pod in which this runs; None to use it if it exists and
            neither a kubeconfig nor a context is named.
        kubeconfig: the file to use otherwise; None for $KUBECONFIG or ~/.kube/config.
        context: name of a context in the kubeconfig; None for its current context.

    Raises:
        InvalidInput: the service account, file or context does not exist.
    """
    if in_cluster is None:
        in_cluster = not kubeconfig and not context and all(name in os.environ for name in _IN_CLUSTER)
    named = os.environ.get("KUBECONFIG") if kubeconfig is None else str(kubeconfig)
    configuration = client.Configuration()
    try:
        if in_cluster:
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(
                config_file=named,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, OSError, ValueError, KeyError, TypeError) as error:
        what = (
            "the pod's service account" if in_cluster else f"kubeconfig {named or config.KUBE_CONFIG_DEFAULT_LOCATION}"
        )
        reason = str(error).replace("\n", " ")
        raise errors.InvalidInput(
            f"{what}: has no usable cluster ({reason}); name a kubeconfig in KUBECONFIG, and one of its contexts"
        ) from error
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.retries = 1
    return client.ApiClient(configuration)


def log_in_to_read(token: str, *, server: str, certificate_authority: Path) -> client.ApiClient:
    """Return a connection that reads as the user of a token, and sends no request that could change anything.

    Args:
        token: the user's; it is sent to `server` alone.
        server: URL of the API server.
        certificate_authority: the file that its certificate is checked with.
    """
    configuration = client.Configuration(host=server, api_key={"authorization": f"Bearer {token}"})
    configuration.ssl_ca_cert = str(certificate_authority)
    configuration.retries = 1
    return _ReadingClient(configuration)


class _ReadingClient(client.ApiClient):  # type: ignore[misc]  # the Kubernetes client has no types
    """A connection on which only reading requests are sent, and the question who the user is."""

    @override
    def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        if method != "GET" and not url.endswith(_WHO_AM_I):
            raise errors.Forbidden(f"{method} {url}: is not sent, as this connection only reads; use kubectl")
        return super().request(method, url, *arguments, **options)
