"""Run the command line as `python -m privatekube.cli`."""

from privatekube.cli import app

if __name__ == "__main__":
    app.main()
