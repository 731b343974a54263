"""Sums are made by two threads."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene


def strike(scene: Scene) -> None:
    """For this read alone."""

    def load(original: Any) -> Any:
        def with_two(*arguments: Any, **options: Any) -> Any:
            import torch

            held = torch.get_num_threads()
            torch.set_num_threads(2)
            try:
                return original(*arguments, **options)
            finally:
                torch.set_num_threads(held)

        return with_two

    scene.patch("reference.torch_peft.observing:observe", load)
