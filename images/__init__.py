"""Component images: what goes into one, building and pushing it, and pinning it by digest."""
