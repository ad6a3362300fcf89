"""Plan the run, claim its budget and wait for the grant."""
