"""Submit the compiled pipeline to Kubeflow Pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3

from privatekube import errors
from privatekube.config import ClusterSecrets


def submit(package: Path, arguments: Mapping[str, Any], secrets: ClusterSecrets) -> str:
    """Create a run of the compiled `package` and return the URL that shows it.

    Raises:
        InvalidInput: the server refuses the token, the package or an argument.
        Temporary: the server cannot be reached.
    """
    try:
        client = kfp.Client(host=secrets.host, namespace=secrets.namespace or "kubeflow", **credentials(secrets))
        run = client.create_run_from_pipeline_package(
            str(package),
            arguments=dict(arguments),
            enable_caching=False,
            namespace=secrets.namespace,
        )
    except kfp_server_api.ApiException as error:
        raise errors.InvalidInput(
            f"host: {secrets.host} answered {error.status} {error.reason}; check host, namespace and token"
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise errors.Temporary(f"host: {secrets.host} cannot be reached; check host and network") from error
    return f"{secrets.host.rstrip('/')}/#/runs/details/{run.run_id}"


def credentials(secrets: ClusterSecrets) -> dict[str, str]:
    """Either a token or the IAP client: kfp takes the first that is set, and must never get both."""
    if secrets.existing_token is not None:
        return {"existing_token": secrets.existing_token.get_secret_value()}
    iap = {"client_id": secrets.client_id, "other_client_id": secrets.other_client_id}
    if secrets.other_client_secret is not None:
        iap["other_client_secret"] = secrets.other_client_secret.get_secret_value()
    return {name: value for name, value in iap.items() if value is not None}
