"""What a run is told and what it demands, before its claim: arguments, settings of its pipeline, and their check."""
