"""Fetch the granted blocks; after that, the budget can no longer be returned."""

from __future__ import annotations

import tempfile
from pathlib import Path

from privatekube import errors
from privatekube.client import claim_writer, connect
from privatekube.data import columns, word_vectors
from privatekube.data.metadata import Block, Metadata
from privatekube.steps import arguments, documents, interface, opened_blocks, public_log
from privatekube.storage import private_files
from privatekube.training import public_vectors
from privatekube.training.settings import TrainingSettings


def download(*, grant: interface.Artifact, workspace: interface.Workspace, blocks: interface.OutputDataset) -> None:
    """Fetch every block of the Grant, check its digest and format, mark the claim's data as opened, and hand it on.

    The records of all blocks are handed on as one, in the Grant's order, a file for each column. Nothing is fetched for
    a claim that is settled. The mark comes after the checks and before any other step can read a block: a block that is
    missing, was altered, or cannot be trained on as the Grant says, costs nothing.

    Args:
        grant: from allocate.
        workspace: where the run has its private data.
        blocks: the columns of all blocks (npy).
    """
    granted = documents.read(documents.Grant, grant)
    with connect.connect() as client:
        claim_writer.require_readable(client.get_claim(granted.claim))
    with tempfile.TemporaryDirectory(dir=workspace) as scratch:
        fetched = Path(scratch) / "columns"
        declared = opened_blocks.fetch(fetched, granted, progress=_report)
        if isinstance(declared, Block):
            _require_trainable(granted, declared.metadata, workspace)
        with connect.connect() as client:
            client.mark_opened(granted.claim)
        private_files.replace_folder(fetched, blocks)


def _report(done: int, total: int) -> None:
    public_log.say("fetched", done=done, total=total)


def _require_trainable(granted: documents.Grant, declared: Metadata, workspace: Path) -> None:
    """Check, by what is declared of reviews alone, that the later steps can use them; fetch the vectors they read."""
    needed = {name for name, field in TrainingSettings.model_fields.items() if field.is_required()}
    if not granted.settings.keys() >= needed:
        return  # another pipeline trains nothing
    training = TrainingSettings.of(granted.settings)
    if training.task == "product" and len(declared.categories) < 2:
        raise errors.invalid("task", training.task, "needs blocks of two categories or more", "set task=sentiment")
    columns.require_vocabulary(training.vocab_size, declared.vocabulary_size)
    if training.is_on_vectors:
        word_vectors.require_words(training.embeddings, declared.vocabulary_digest)
        public_vectors.fetch(training, workspace)


if __name__ == "__main__":
    arguments.run_component(download, reads_data=True)
