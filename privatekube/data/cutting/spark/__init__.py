"""Cut the files of a table into blocks on many machines, with Apache Spark: the same blocks, by the same functions.

1. A task for each file cuts it into parts, which Spark spreads over its machines.
2. Tasks read the parts as records, which Spark keeps on their disks; the command gets counts alone, and checks them.
3. Spark groups the records by block. A task leaves out copies, bounds contributions, and writes the block's file.
4. Spark groups the blocks by slice. A task declares a slice; the command gets the declarations.
"""
