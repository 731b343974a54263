"""The tests of the stacks. What runs in a stack's own environment meets them in files."""
