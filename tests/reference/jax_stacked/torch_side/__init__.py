"""The torch side: what transformers and PEFT compute of each scenario, as files. Runs where the newest row does."""
