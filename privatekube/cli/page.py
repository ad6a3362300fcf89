"""The command `privatekube serve`: show what is left, who spent it, and why a claim waits, in a browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # it imports the web framework, which `privatekube --help` does without
    from privatekube.page.guard import Access

PORT = 8411


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; at 127.0.0.1 only this machine reaches the page.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = PORT,
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
