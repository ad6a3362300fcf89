"""The embedded store: resources in one SQLite file."""
