"""What a component's program imports: its arguments, the documents of a run, its public log."""
