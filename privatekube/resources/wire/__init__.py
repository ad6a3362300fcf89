"""The wire form of resources: PrivateKube's JSON."""
