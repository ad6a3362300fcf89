"""Write a small project that runs at once: a table, its schema, a plan, one component, a pipeline."""
