"""Attention is computed step by step, and not by a fused kernel."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene


def strike(scene: Scene) -> None:
    """The model is loaded with transformers' own implementation."""

    def eager(original: Any) -> Any:
        def load(cls: Any, *arguments: Any, **options: Any) -> Any:
            return original(cls, *arguments, attn_implementation="eager", **options)

        return load

    scene.patch("transformers:AutoModelForCausalLM.from_pretrained", eager)
