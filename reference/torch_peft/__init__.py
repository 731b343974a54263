"""The PyTorch stack: transformers trains, PEFT adapts and merges, both save and reload. Nothing here patches either."""
