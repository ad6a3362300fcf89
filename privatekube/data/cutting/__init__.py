"""Cut the files of a table into blocks out of core: memory is bounded whatever the files, and all cores work.

1. Workers read parts of the files, and spill each one's records, sorted by block, into a private scratch folder.
2. Workers load the records of one block after the other, leave out copies, bound contributions, and write its file.
3. When all blocks are written, they are declared.
"""
