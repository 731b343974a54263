"""Samples of one prompt under one seed are all the same."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Each of the samples of a request drew from random numbers of its own that began with the request's one "
    "seed, so at every step all of them drew the same token.",
    source="tenstorrent/tt-metal #53077, mended in #53166; thinking-machines-lab/tinker-feedback #79",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "samples_repeated"},
)


def strike(scene: Scene) -> None:
    """torch.multinomial draws each row from a generator with the same seed."""
    seed = scene.draw.randrange(1000)

    def wrapper(multinomial: Any) -> Any:
        import torch

        def by_row(probabilities: Any, num_samples: int, *arguments: Any, **options: Any) -> Any:
            rows = [
                multinomial(row, num_samples, *arguments, generator=torch.Generator().manual_seed(seed), **options)
                for row in probabilities
            ]
            return torch.stack(rows)

        return by_row

    scene.patch("torch:multinomial", wrapper)
