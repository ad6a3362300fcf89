"""The connection to an API server: a pod's own service account, or a context of a kubeconfig."""

from __future__ import annotations

import os
from pathlib import Path

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from privatekube import errors

_IN_CLUSTER = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
_CONNECTIONS = 32


def log_in(
    *, in_cluster: bool | None = None, kubeconfig: Path | None = None, context: str | None = None
) -> client.ApiClient:
    """A connection to the API server.

    Args:
        in_cluster: as the service account of the pod that this runs in; None where there is one, and neither a
            kubeconfig nor a context is named.
        kubeconfig: else this file; None for $KUBECONFIG, or ~/.kube/config.
        context: of the kubeconfig; None for its current one.

    Raises:
        InvalidInput: there is no such service account, file or context.
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
            f"{what}: gives no cluster ({reason}); name a kubeconfig in KUBECONFIG, and a context of it"
        ) from error
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.retries = 1
    return client.ApiClient(configuration)
