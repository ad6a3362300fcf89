"""What a restore adds: the blocks and the records of data that the store knows nothing of.

None of it may have data of a block that the store has: that block would not be charged with what was spent. So a block
of another name or another cut has to be deleted first, which records what was committed on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from privatekube import errors
from privatekube.backup.contents import Contents
from privatekube.engine import admission, earlier_data
from privatekube.engine.catalogue import Catalogue
from privatekube.engine.world import Records
from privatekube.resources import ledger, meta, transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.declared_data import DeclaredData
from privatekube.resources.retired_data import RetiredData

Data = tuple[str, str]
"""What a budget belongs to: the dataset, and the key of the data."""


def data_of(block: PrivateDataBlock) -> Data:
    """Return what the budget of a block belongs to."""
    return block.spec.dataset, ledger.data_key(block)


def created_and_recorded(backup: Contents, current: Contents) -> tuple[list[PrivateDataBlock], list[RetiredData]]:
    """Return the blocks that are created, and the records that are added.

    A block that was deleted in the store since then stays deleted.

    Raises:
        AlreadyExists: a block of the store has the name of one of the backup, and other data.
        InvalidBudget: the same data has another lifetime budget in the backup.
    """
    blocks = {data_of(block): block for block in current.blocks}
    records = {(record.dataset, record.digest) for record in current.retired}
    names = {block.id: data_of(block) for block in current.blocks}
    created: list[PrivateDataBlock] = []
    deleted: list[PrivateDataBlock] = []
    for block in backup.blocks:
        data = data_of(block)
        if data in blocks:
            admission.require_same_budget(blocks[data], block.spec.initial_budget)
        elif data not in records:
            if block.id in names:
                raise errors.AlreadyExists(
                    f"block {block.id}: has other data in the backup; delete it, and restore again: what was committed "
                    "on it stays recorded"
                )
            (deleted if block.meta.is_deleted else created).append(block)
    known = {*blocks, *records}
    new = [record for record in backup.retired if (record.dataset, record.digest) not in known]
    return created, [*new, *(_record(block) for block in deleted if block.status is not None)]


def _record(block: PrivateDataBlock) -> RetiredData:
    """Return the record of a block that was marked for deletion when the backup was made."""
    charges = transitions.charges(block)
    return RetiredData(*data_of(block), block.id, block.spec.initial_budget, charges, declared=DeclaredData.of(block))


def require_apart(
    blocks: Iterable[PrivateDataBlock], records: Iterable[RetiredData], backup: Contents, current: Contents
) -> None:
    """Check that what is added has no data in common with an admitted block of the store.

    Raises:
        AlreadyExists: it has, or may have.
        InvalidBudget: deleted data of the store had another lifetime budget.
    """
    identities = {**backup.identities, **current.identities}
    catalogue = Catalogue.of_admitted(current.blocks, Records([*current.retired, *records], identities))
    for block in blocks:
        if block.status is not None:
            admission.require_admissible(block, catalogue)
            catalogue.add([block])
    admitted = Catalogue.of_admitted(current.blocks, Records((), identities))
    for record in records:
        for match in admitted.matches(record):
            if earlier_data.exceeds(record.total, record.initial_budget * 0.0):
                assert isinstance(match.earlier, PrivateDataBlock)  # noqa: S101 - the catalogue has no records
                raise errors.AlreadyExists(
                    f"block {match.earlier.id}: has, or may have, data on which the backup has budget committed; "
                    "delete it, and restore again: what was committed on it stays recorded"
                )


def as_new(block: PrivateDataBlock) -> PrivateDataBlock:
    """Return a block as it is created again, without a status: its admission gives it one."""
    return replace(block, meta=new_meta(block.meta), status=None)


def new_meta(identity: meta.ObjectMeta) -> meta.ObjectMeta:
    """Return the identity of an object that is created again: the store gives it the rest."""
    return meta.ObjectMeta(identity.name, identity.namespace, annotations=identity.annotations, labels=identity.labels)
