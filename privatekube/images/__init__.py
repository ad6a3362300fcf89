"""Component images: what goes into one, building, pushing and pinning it."""
