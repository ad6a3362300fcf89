"""Who gets budget next: pure decisions over an immutable snapshot."""
