"""One pass of the control plane, as pure decisions about blocks and claims."""
