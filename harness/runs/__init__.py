"""One run from request to report: a fixed order of small steps, each of which is tested alone."""
