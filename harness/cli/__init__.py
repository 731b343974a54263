"""The command line: one thin function a verb. Text for people goes to stderr, data to stdout with `--json`."""
