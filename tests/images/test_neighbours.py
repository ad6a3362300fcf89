"""Two neighbouring data sets, the same noise, steps in their images: all that others can read is the same."""

from __future__ import annotations

from concurrent import futures
from pathlib import Path

import pytest

from tests.e2e import neighbours
from tests.e2e.test_neighbours import everything_seen, moved_counts
from tests.images.conftest import ROOT, BuildHost, ContainerLaptop

PATCHES = ROOT / "tests" / "images" / "same_noise_and_a_leak"
LEAKS = {"run", "statistics.json"}
"""What the patches leak into: the log of a container, and what it publishes."""


class QuietContainerLaptop(ContainerLaptop):
    """A laptop whose runs draw the same noise each, in containers that leak a count of reviews."""

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of the commands."""
        return neighbours.with_same_noise(super().environment, PATCHES)

    def pipeline(self, *settings: str, status: int = 0) -> str:
        """Run the pipeline in its images."""
        return self.pipeline_in_containers(*settings, status=status)


def leaks_and_rest(text: str) -> tuple[list[str], list[str]]:
    """Return the lines of the patches' leaks, and all others; an engine may mix the two streams of a container."""
    leaks = [line for line in text.splitlines() if "leaked" in line]
    return leaks, [line for line in text.splitlines() if "leaked" not in line]


@pytest.mark.containers
def test_neighbouring_datasets_leave_the_same_bytes_but_for_what_was_paid_for_and_a_leak_made_here(
    build_host: BuildHost, tmp_path: Path
) -> None:
    data_sets = neighbours.data_sets()
    laptops = [QuietContainerLaptop(tmp_path / name, build_host) for name in data_sets]
    for laptop in laptops:
        laptop.folder.mkdir()
    with futures.ThreadPoolExecutor() as pool:  # most of a run is the start of containers
        fewer, with_one_more = pool.map(everything_seen, laptops, data_sets.values())
    assert fewer.keys() == with_one_more.keys()
    differing = {name for name in fewer if fewer[name] != with_one_more[name]}
    assert differing == LEAKS, f"{sorted(differing - LEAKS)} depend on one review"
    for name in LEAKS:
        (leaked, kept), (leaked_with_one_more, kept_with_one_more) = map(
            leaks_and_rest, (fewer[name], with_one_more[name])
        )
        assert leaked != leaked_with_one_more
        assert kept == kept_with_one_more, f"{name} depends on one review"
    assert moved_counts(*laptops) == {("Music", "4"): 1}, "the noise in containers is not the same"
