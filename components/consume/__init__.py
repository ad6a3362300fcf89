"""Pay: commit the budget the run was granted."""
