"""Find what breaks the privacy promise in a compiled pipeline: read the package, tell what each step does, check it.

It reads the compiled file alone, so it needs neither kfp nor a cluster. docs/lint.md explains each rule.
"""
