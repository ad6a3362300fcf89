"""Tables of any columns as private data: their schema, their files, and the block file that has a part of one."""
