"""Show the published statistics of each ward.

    python examples/statistics_opendp/show.py out/latest

The mean is computed from what was released, so that it costs nothing.
"""

import json
import sys
from pathlib import Path


def main() -> None:
    """Print a line for each ward."""
    folder = Path(sys.argv[1])
    visits, nights = (json.loads((folder / name).read_text()) for name in ("visits.json", "nights.json"))
    for ward, number in visits.items():
        print(f"{ward:10} {number:6} visits, {nights[ward] / max(1, number):.2f} nights each")


if __name__ == "__main__":
    main()
