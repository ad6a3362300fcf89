"""What would happen to a request, tried on a copy of the store."""
