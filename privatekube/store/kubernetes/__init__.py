"""Resources as objects of a Kubernetes API server."""
