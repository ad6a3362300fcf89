"""Claim, open, release and pay within one Python program, such as a notebook: `client.claim(...)` in a `with`."""
