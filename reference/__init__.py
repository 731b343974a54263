"""The inside world: the stacks that train, save and reload. Runs in a cell's own environment."""
