"""Run the command line: `python -m privatekube.cli`."""

from privatekube.cli import app

if __name__ == "__main__":
    app.main()
