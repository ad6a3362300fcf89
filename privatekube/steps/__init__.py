"""What a component's program imports: its command line, the frame of a DP step, a run's documents, the public log."""
