"""Fetch the granted blocks; after that, the budget can no longer be returned."""

from __future__ import annotations

import tempfile
from pathlib import Path

from privatekube import errors
from privatekube.client import claim_writer, connect
from privatekube.data import any_block, columns, word_vectors
from privatekube.data.metadata import Block, Metadata
from privatekube.steps import arguments, documents, interface, opened_blocks, public_log
from privatekube.storage import private_files, transfers
from privatekube.training import public_vectors
from privatekube.training.settings import TrainingSettings


def download(*, grant: interface.Artifact, workspace: interface.Workspace, blocks: interface.OutputDataset) -> None:
    """Fetch every block of the Grant, check its digest and format, mark the claim's data as opened, and hand it on.

    The files are numbered in the Grant's order. Nothing is fetched for a claim that is settled. The mark comes after
    the checks and before any other step can read a block: a block that is missing, was altered, or cannot be trained on
    as the Grant says, costs nothing.

    Args:
        grant: from allocate.
        workspace: where the run has its private data.
        blocks: one HDF5 file per block.
    """
    granted = documents.read(documents.Grant, grant)
    with connect.connect() as client:
        claim_writer.require_readable(client.get_claim(granted.claim))
    with tempfile.TemporaryDirectory(dir=workspace) as scratch:
        fetched = [opened_blocks.path(Path(scratch), number) for number in range(len(granted.blocks))]
        files = [(block.uri, path) for block, path in zip(granted.blocks, fetched, strict=True)]
        declared = []
        for number, (block, path) in enumerate(zip(granted.blocks, transfers.fetch_each(files), strict=True)):
            try:
                content = any_block.read_block(path, digest=block.digest)
            except errors.CorruptData as error:  # it names the copy, which is gone when the message is read
                raise errors.CorruptData(str(error).replace(str(path), block.uri)) from error
            declared.append(opened_blocks.declared(content))
            public_log.say("fetched", done=number + 1, total=len(granted.blocks))
        opened_blocks.require_granted(declared, granted.unit)
        if isinstance(declared[0], Block):
            _require_trainable(granted, declared[0].metadata, workspace)
        with connect.connect() as client:
            client.mark_opened(granted.claim)
        private_files.make_folder(blocks)
        for path in fetched:
            path.replace(blocks / path.name)


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
