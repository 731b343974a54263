"""PEFT's LoRA adapters on disk, read and written with numpy alone: no torch, no peft, no jax.

Owns the files (adapter_config.json, adapter_model.safetensors), the names in them and the layouts of expert factors.
Knows nothing of models in memory, of training, or of verdicts.
"""
