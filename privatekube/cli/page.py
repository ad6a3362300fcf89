"""The commands `privatekube serve` and `serve-cluster`: show what is left, who spent it, and why a claim waits."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # it imports the web framework, which `privatekube --help` does without
    from privatekube.page.address_token import Access

PORT = 8411
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")]


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; at 127.0.0.1 only this machine reaches the page.")
    ] = "127.0.0.1",
    port: Port = PORT,
    results: Annotated[Path, typer.Option(help="Folder that runs publish into.")] = Path("out"),
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser of this machine.")] = False,
) -> None:
    """Show the store as a page, until Ctrl-C: what is left, who spent it, why a claim waits. It only reads."""
    from privatekube.page import server  # noqa: PLC0415 - see the docstring of cli.app

    def announce(address: str, access: Access) -> None:
        typer.echo(f"{address}\nCtrl-C ends it; the token is new each time")
        if not access.is_loopback:
            typer.echo(f"warning: {host} may be reached by others, and what is sent is not encrypted", err=True)
        if open_ and not webbrowser.open(address):
            typer.echo("warning: no browser was found; open the address above", err=True)

    server.serve(host, port, results=results, announce=announce)


def serve_cluster(  # noqa: PLR0917 - typer reads the options off the signature
    certificate_authority: Annotated[
        Path, typer.Option(help="File that the API server's certificate is checked with.")
    ],
    server: Annotated[str, typer.Option(help="URL of the API server.")] = "https://kubernetes.default.svc",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = PORT,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name under which visitors reach the page; may be repeated.")
    ] = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            help="Namespace to show visitors who may not read all; may be repeated. Default: as they may list."
        ),
    ] = None,
    visitors: Annotated[int, typer.Option(min=1, help="How many visitors are served at once.")] = 16,
) -> None:
    """Show a cluster to its users as a page. Each visitor brings a token, and sees what its user may read."""
    from privatekube.page import server as serving  # noqa: PLC0415 - see the docstring of cli.app
    from privatekube.page import visitors as visiting  # noqa: PLC0415 - likewise

    cluster = visiting.Cluster(server, certificate_authority, tuple(namespace or ()))
    door = visiting.door(cluster, most=visitors, hosts=allow_host or ())
    serving.serve_visitors(host, port, door=door, announce=lambda address: typer.echo(f"{address}\nCtrl-C ends it"))
