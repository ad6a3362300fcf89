"""Load a component from its folder, for a graph that passes some of its inputs several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from kfp import components
from kfp.dsl.base_component import BaseComponent

from privatekube import config
from privatekube.images import component_yaml
from privatekube.kubeflow import repeated_inputs


def load(folder: Path, repeated: Mapping[str, Sequence[str]] | None = None) -> BaseComponent:
    """Load the component in a folder.

    Args:
        folder: of the component.
        repeated: for each input that is a list of files, what tells the files apart: `{"spend": ["train"]}` makes the
            graph pass `spend_train`. See `repeated_inputs`.

    Raises:
        InvalidInput: its `component.yaml` cannot be read, is not a YAML mapping, or has no such input.
    """
    document = config.read_mapping(folder / component_yaml.FILE)
    for name, endings in (repeated or {}).items():
        document = repeated_inputs.repeat(document, name, endings)
    return components.load_component_from_text(yaml.safe_dump(document, sort_keys=False))
