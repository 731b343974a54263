"""Who checks the checker: known bugs put into jobs on purpose, and which check caught and named each."""
