"""The store of a cluster: resources as objects of a Kubernetes API server."""
