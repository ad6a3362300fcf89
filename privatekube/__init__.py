"""Private data blocks, privacy-budget claims and the pipeline steps that spend them."""

__version__ = "0.1.0"
