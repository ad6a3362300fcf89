"""Resources in one SQLite file."""
