"""The canaries of `harness/canaries`, and their rules in `cases/canaries`."""
