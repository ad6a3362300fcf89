"""What each view of the page says, as plain values: computed from a snapshot, and shown by a template."""
