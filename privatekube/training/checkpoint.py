"""A trained model on disk: tensors, and everything else as JSON text.

`torch.load(path, weights_only=True)` reads it without this package: a dictionary of plain strings and tensors, no
pickled code. The tensors have torch's own names, so that `lstm.*` loads into `torch.nn.LSTM`: as they are, or, of a
model on vectors, multiplied by `models.GAIN_ON_VECTORS`. The vectors are among the tensors, their digest in the text.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from privatekube import errors, validation
from privatekube.storage import local_files
from privatekube.training import models

FORMAT = "privatekube-model-1"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model, and what a caller must know to feed it text.

    Args:
        module: the model, on the CPU.
        config: its architecture and sizes.
        task: what it was trained to predict.
        vocabulary_digest: digest of the word list whose ranks are its token ids.
        digest: of all, "sha256:<hex>".
        found: the hyper-parameters that a search found; none where nothing was searched.
    """

    module: models.Classifier
    config: models.ModelConfig
    task: str
    vocabulary_digest: str
    digest: str
    found: Mapping[str, validation.Scalar] = field(default_factory=dict)


def save(
    path: Path, module: models.Classifier, config: models.ModelConfig, *, task: str, vocabulary_digest: str
) -> str:
    """Write a checkpoint in one step and return its digest; see `encode`.

    Raises:
        InvalidInput: the disk is full, or the folder cannot be written.
    """
    data, digest = encode(module, config, task=task, vocabulary_digest=vocabulary_digest)
    local_files.write(path, data, overwrite=True)
    return digest


def encode(
    module: models.Classifier,
    config: models.ModelConfig,
    *,
    task: str,
    vocabulary_digest: str,
    found: Mapping[str, validation.Scalar] | None = None,
) -> tuple[bytes, str]:
    """Return the bytes of a checkpoint, and the digest of its content.

    The digest is "sha256:<hex>". The bytes may differ between versions of torch, the digest does not.

    Raises:
        InvalidInput: a weight is not finite.
    """
    models.require_finite(module.state_dict())
    facts = {"format": FORMAT, "config": asdict(config), "task": task, "vocabulary_digest": vocabulary_digest}
    about = json.dumps(facts | ({"hyperparameters": dict(found)} if found else {}), sort_keys=True)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    digest = _digest(about, state)
    buffer = io.BytesIO()
    torch.save({"about": about, "state": state, "digest": digest}, buffer)
    return buffer.getvalue(), digest


def load(path: Path) -> Checkpoint:
    """Read a checkpoint and check its digest.

    Raises:
        CorruptData: the file is missing, truncated, altered or not a checkpoint.
    """
    try:
        return _rebuild(torch.load(path, weights_only=True, map_location="cpu"))
    except (
        OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, ValueError, AttributeError,
        errors.InvalidInput,
    ) as error:  # fmt: skip
        reason = str(error).split("\n")[0] or type(error).__name__
        raise errors.CorruptData(f"checkpoint: {path} cannot be read ({reason}); train again") from error


def _rebuild(content: object) -> Checkpoint:
    if not isinstance(content, dict):
        raise TypeError("it does not hold a dictionary")
    text, state, digest = content["about"], content["state"], content["digest"]
    if digest != _digest(text, state):
        raise ValueError("its content is not what its digest says")
    about = json.loads(text)
    if about["format"] != FORMAT:
        raise ValueError(f"format {about['format']!r} is not {FORMAT!r}")
    config = models.ModelConfig(**about["config"])
    module = models.build(config, 0)
    module.load_state_dict(state)
    found = about.get("hyperparameters", {})
    return Checkpoint(module, config, about["task"], about["vocabulary_digest"], digest, found)


def _digest(about: str, state: Mapping[str, torch.Tensor]) -> str:
    """Return the digest of the text and of each tensor's name, type, shape and bytes."""
    content = hashlib.sha256(about.encode())
    for name, tensor in sorted(state.items()):
        content.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        content.update(tensor.contiguous().numpy().tobytes())
    return "sha256:" + content.hexdigest()
