"""The picture in docs/scheduling.md: what each policy grants, from real runs on recorded scenarios.

python benchmarks/scheduling_picture.py docs/scheduling.svg
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privatekube.scheduling.policy import Policy
from privatekube.simulation import replay, scenario

SCENARIOS = Path(__file__).resolve().parent.parent / "tests" / "samples" / "scenarios"
ONLINE, OFFLINE = "online-eps-stream-80s", "offline-rdp-1k"
POLICIES = {  # unlock and order, colour
    ("t=40ms,30s", "dpf"): "#0072b2",
    ("n=100", "dpf"): "#56b4e9",
    ("n=100", "dpack"): "#009e73",
    ("n=100", "rr"): "#e69f00",
    ("all", "fcfs"): "#d55e00",
}
AT_ONCE = {
    ("all", "dpack"): "#009e73",
    ("all", "dpf"): "#56b4e9",
    ("all", "fcfs"): "#d55e00",
    ("n=100", "rr"): "#e69f00",
}
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "privatekube",
    "svg.fonttype": "none",
    "font.size": 9.0,
    "font.family": "sans-serif",
}


def play(read: scenario.Scenario, settings: tuple[str, str]) -> replay.Replay:
    """Replay a scenario under a policy."""
    unlock, order = settings
    return replay.replay(read, Policy.parse({"unlock": unlock, "order": order}))


def over_time(axes: Axes) -> None:
    """Plot granted claims over time."""
    read = scenario.read(SCENARIOS / f"{ONLINE}.json.gz")
    for (unlock, order), colour in POLICIES.items():
        played = play(read, (unlock, order))
        seconds = [0.0, *played.grant_seconds]
        style = "--" if order == "dpack" else "-"
        label = f"{order}, {unlock}: {len(played.granted)}"
        axes.step(seconds, range(len(seconds)), style, where="post", color=colour, label=label)
    axes.set_title(f"As claims come: {len(read.claims):,} on {len(read.blocks)} blocks, epsilon")
    axes.set_xlabel("seconds")
    axes.set_ylabel("claims granted")
    axes.legend(frameon=False)


def at_once(axes: Axes) -> None:
    """Plot granted claims of an offline scenario."""
    read = scenario.read(SCENARIOS / f"{OFFLINE}.json.gz")
    counts = {f"{order}\n{unlock}": len(play(read, (unlock, order)).granted) for unlock, order in AT_ONCE}
    bars = axes.bar(list(counts), list(counts.values()), color=list(AT_ONCE.values()))
    axes.bar_label(bars)
    axes.set_title(f"All at once: {len(read.claims):,} on {len(read.blocks)} blocks, Renyi")
    axes.set_ylabel("claims granted")


def draw(path: Path) -> None:
    """Write the picture, the same bytes each time."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        over_time(left)
        at_once(right)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "benchmarks/scheduling_picture.py"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    draw(parser.parse_args().path)
