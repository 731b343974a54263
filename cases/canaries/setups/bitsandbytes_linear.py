"""A 4-bit layer of a release on a processor with AVX512-BF16, whose kernels are told apart by what they hand on.

Executed apart, before the calls of a canary: torch is there, and a release's Linear4bit and matmul_4bit will be. Its
kernels are a binary, which is not there: in their place stand functions of the right shape, one with a gradient.
"""

from __future__ import annotations

from typing import Any

import torch

from harness.canaries.inside import Thing

torch.set_num_threads(1)

Linear4bit: Any
matmul: Any
BLOCK = 64


class Kernels:
    """The kernel of packed weights, which knows no gradient, in front of all else of the module of functions."""

    def __init__(self, others: Any) -> None:
        self._others = others

    def __getattr__(self, name: str) -> Any:
        return getattr(self._others, name)

    def gemv_4bit(self, a: Any, _: Any, out: Any = None, state: Any = None) -> Any:
        """A x W, without a gradient."""
        return a.detach().new_zeros(*a.shape[:-1], state.shape[0])


def _with_gradient(a: Any, *_: Any) -> Any:
    return a.sum(-1, keepdim=True).expand(*a.shape[:-1], SHAPE[0])


SHAPE = [0, 0]
_OPERATIONS = torch.library.Library("bitsandbytes", "DEF")
_OPERATIONS.define(
    "gemm_4bit(Tensor a, Tensor b, SymInt[] shape, Tensor absmax, int blocksize, str quant_type, *, Tensor? bias=None, "
    "Tensor? absmax_8bit=None, Tensor? absmax_code=None, Tensor? absmax_offset=None) -> Tensor"
)
_OPERATIONS.impl("gemm_4bit", lambda a, *_, **__: a.new_zeros(*a.shape[:-1], SHAPE[0]), "CPU")


def layer(outputs: int, inputs: int) -> Any:
    """A quantised layer, of weights that are all alike."""
    matmul.__globals__["F"] = Kernels(matmul.__globals__["F"])
    matmul.__globals__["MatMul4Bit"] = Thing(apply=_with_gradient)
    SHAPE[:] = [outputs, inputs]
    made = Linear4bit(inputs, outputs, bias=False)
    made.weight.data = torch.zeros(outputs * inputs // 2, 1, dtype=torch.uint8)
    made.weight.quant_state = Thing(
        shape=torch.Size((outputs, inputs)), dtype=torch.float32, nested=False, blocksize=BLOCK, quant_type="nf4",
        absmax=torch.ones(outputs * inputs // BLOCK),
    )  # fmt: skip
    made.weight.bnb_quantized = True
    made.support_avx512bf16_for_cpu = True
    return made


def evaluated(made: Any, batch: int = 3) -> Any:
    """The layer after an evaluation without gradients."""
    with torch.no_grad():
        made.eval()(torch.zeros(batch, SHAPE[1]))
    return made


def has_gradient(made: Any, batch: int = 3) -> bool:
    """Whether what the layer gives in training hands gradients on to what it was given."""
    return bool(made.train()(torch.zeros(batch, SHAPE[1], requires_grad=True)).requires_grad)


def is_packed(made: Any) -> bool:
    """Whether its weights lie as the kernel of packed weights has them."""
    return bool(getattr(made.weight.quant_state, "packing_format_for_cpu", False))
