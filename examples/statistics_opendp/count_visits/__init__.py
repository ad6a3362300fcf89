"""Release the number of visits and of nights of each ward, with measurements of OpenDP."""
