"""Resources in PrivateKube's JSON."""
