"""`nox -s bench`: what the project promises about speed, measured and printed beside the promise."""
