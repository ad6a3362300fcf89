"""Show the published statistics of each ward.

    python examples/statistics_opendp/show.py out/latest

The mean is computed from what was released, so that it costs nothing.
"""

import argparse
import json
from pathlib import Path

from privatekube import config, entrypoint


def main() -> None:
    """Print a line for each ward."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what the run published")
    folder = parser.parse_args().folder
    visits, nights = (json.loads(config.read_text(folder / name)) for name in ("visits.json", "nights.json"))
    for ward, number in visits.items():
        print(f"{ward:10} {number:6} visits, {nights[ward] / max(1, number):.2f} nights each")


if __name__ == "__main__":
    entrypoint.run(main)
