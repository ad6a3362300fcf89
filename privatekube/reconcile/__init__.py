"""One pass of the control plane: read, decide, write, again on conflict."""
