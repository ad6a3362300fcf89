"""A container's lines are the step's lines."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from privatekube.images import container_run
from tests.images import slow_engine


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"o", b"ne\r\nt", b"wo", b"\n", b"three"], ["one", "two", "three"]),
        (["é".encode()[:1], "é".encode()[1:], b"\n\n"], ["é", ""]),
        ([], []),
    ],
)
def test_lines_are_whole_however_the_engine_cuts_them(chunks: list[bytes], lines: list[str]) -> None:
    assert list(container_run._lines(chunks)) == lines


def test_a_container_that_is_silent_for_longer_than_the_clients_timeout_is_followed_to_its_end(tmp_path: Path) -> None:
    lines: list[str] = []
    with slow_engine.serving(tmp_path, silent_seconds=4) as address:
        client = docker.DockerClient(base_url=address, version="1.41", timeout=3)
        assert container_run.follow(client, "image", ["train"], {}, lines.append) == 3
        assert client.api.timeout == 3  # every other request to the engine is answered soon
        client.close()
    assert lines == ["noisy step 1 of 4"]
