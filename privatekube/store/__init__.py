"""Where blocks and claims are kept: one protocol, one backend per module."""
