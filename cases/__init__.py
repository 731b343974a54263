"""The cases: data first (matrix, families, round trips, known outcomes), and two pytest modules that run in a cell."""
