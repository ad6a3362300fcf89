"""Backups of a store: what is in one, its file, and how it is merged into a store so that no budget rises."""
