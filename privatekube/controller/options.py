"""The options by which a daemon finds its cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

InCluster = Annotated[
    bool | None,
    typer.Option(
        "--in-cluster/--out-of-cluster", help="Whether to use this pod's service account; detected by default."
    ),
]
Kubeconfig = Annotated[Path | None, typer.Option(help="Path of the kubeconfig; the default is $KUBECONFIG.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig; the default is its current one.")]
