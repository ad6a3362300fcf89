"""Private data blocks as files: their format, their columns, and how a source is cut into them."""
