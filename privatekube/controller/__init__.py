"""The control plane: the only writer of status."""
