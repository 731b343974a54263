"""The tests of the JAX stack, against what transformers and PEFT compute in the newest row's environment."""
