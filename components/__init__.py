"""The steps of the pipeline, one folder each: its interface (component.yaml), its program (__main__.py), its image."""
