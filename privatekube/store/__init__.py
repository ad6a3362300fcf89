"""Storage of blocks and claims: one protocol, and one package or module for each backend."""
