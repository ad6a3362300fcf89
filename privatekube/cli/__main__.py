"""Run the command line, as `privatekube` or as `python -m privatekube.cli`."""

from privatekube import entrypoint


def main() -> None:
    """Import the command line and run it."""
    with entrypoint.imports_of():
        from privatekube.cli import app  # noqa: PLC0415 - Ctrl-C may come before it is imported
    app.main()


if __name__ == "__main__":
    main()
