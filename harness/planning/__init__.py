"""TOML under `cases/` to frozen records, and cases × cells to the jobs of a run. Pure: reads files, starts nothing."""
