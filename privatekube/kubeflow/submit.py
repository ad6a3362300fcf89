"""Compile a pipeline, and submit it to Kubeflow Pipelines."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3
from kfp import compiler
from kfp.dsl.base_component import BaseComponent

from privatekube import config, errors
from privatekube.config import ClusterSecrets
from privatekube.kubeflow.step_components import StepComponents


def compile_to(pipeline: BaseComponent, path: Path) -> None:
    """Write the compiled pipeline.

    Raises:
        InvalidInput: the file cannot be written, or its name does not end in .yaml.
    """
    try:
        compiler.Compiler().compile(pipeline, str(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise errors.invalid("compile-only", str(path), f"cannot be written ({reason})", "name a .yaml file") from error


def submit(
    pipeline: BaseComponent, run: config.RunArguments, components: StepComponents, secrets: ClusterSecrets
) -> str:
    """Submit a run to the cluster and return its URL.

    Raises:
        InvalidInput: an image is not built, or the results would go to a folder of this machine; see also
            `create_run`.
    """
    components.require_images(pushed=True)
    prefix = secrets.prefix or run.prefix
    if "://" not in prefix:
        raise errors.invalid("prefix", prefix, "is a folder of this machine", "give a gs:// or s3:// prefix")
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(package))
        return create_run(package, run.model_dump() | {"prefix": prefix}, secrets)


def create_run(package: Path, arguments: Mapping[str, Any], secrets: ClusterSecrets) -> str:
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
    """Return either a token or the IAP client, never both: kfp takes the first that is set."""
    if secrets.existing_token is not None:
        return {"existing_token": secrets.existing_token.get_secret_value()}
    iap = {"client_id": secrets.client_id, "other_client_id": secrets.other_client_id}
    if secrets.other_client_secret is not None:
        iap["other_client_secret"] = secrets.other_client_secret.get_secret_value()
    return {name: value for name, value in iap.items() if value is not None}
