"""What arrays must be that guards compute: by name, from what was given. The process that executes guards knows none.

E experts, r the rank of one expert's factors, O and I the sizes of a weight's two axes. Factors of all experts are kept
as PEFT keeps them (ParamWrapper in peft/tuners/lora/layer.py): A [E * r, I] by expert, B [O, E * r] with the expert as
the fastest index ("rank_major"); `grouped` is B with each expert's r columns together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Compute = Callable[..., Array]
EXPECTED: dict[str, Compute] = {}


def _expected(compute: Compute) -> Compute:
    EXPECTED[compute.__name__] = compute
    return compute


def compute(what: str, of: Mapping[str, Any], names: tuple[str, ...]) -> Array:
    """The array `what`, of values by name, those of `names` in their order."""
    return EXPECTED[what](*(_value(of[name]) for name in names))


def _value(value: Any) -> Any:
    return np.asarray(value, np.float64) if isinstance(value, list) else value


@_expected
def delta(A: Array, B: Array, E: int, expert: int) -> Array:
    """B_e @ A_e, [O, I], of one expert; B is rank_major."""
    rank = A.shape[0] // E
    return B[:, expert::E] @ A[expert * rank : (expert + 1) * rank]


@_expected
def delta_grouped(A: Array, B: Array, E: int, expert: int) -> Array:
    """The same of a B that is grouped."""
    rank = A.shape[0] // E
    rows = slice(expert * rank, (expert + 1) * rank)
    return B[:, rows] @ A[rows]


@_expected
def deltas(A: Array, B: Array, E: int, scaling: float) -> Array:
    """What all experts' factors add, [E, O, I]; B is rank_major."""
    return scaling * np.stack([delta(A, B, E, expert) for expert in range(E)])


@_expected
def deltas_turned(A: Array, B: Array, E: int, scaling: float) -> Array:
    """The same, [E, I, O]."""
    return deltas(A, B, E, scaling).transpose(0, 2, 1)


@_expected
def deltas_of_each(A: Array, B: Array, E: int, scaling: float) -> Array:
    """What all experts' factors add, [E, O, I]: each own, one below the other in A [E * r, I] and B [E * O, r]."""
    return scaling * np.stack([b @ a for a, b in zip(np.split(A, E), np.split(B, E), strict=True)])


@_expected
def given(W: Array) -> Array:
    """What was given."""
    return W


@_expected
def merged_turned(W: Array, A: Array, B: Array, E: int, scaling: float) -> Array:
    """W [E, I, O] with the deltas of all experts."""
    return W + deltas_turned(A, B, E, scaling)


@_expected
def merged(W: Array, A: Array, B: Array, E: int, expert: int, scaling: float) -> Array:
    """W [O, I] with the delta of one expert, B rank_major."""
    return W + scaling * delta(A, B, E, expert)


@_expected
def merged_first_half(W: Array, A: Array, B: Array, E: int, expert: int, scaling: float) -> Array:
    """W [O / 2, I], a gate, with the first half of the delta of a fused gate and up."""
    return W + scaling * delta(A, B, E, expert)[: W.shape[0]]


@_expected
def merged_second_half(W: Array, A: Array, B: Array, E: int, expert: int, scaling: float) -> Array:
    """W [O / 2, I], an up, with the second half of the delta of a fused gate and up."""
    return W + scaling * delta(A, B, E, expert)[W.shape[0] :]


@_expected
def merged_experts(W: Array, A: Array, B: Array, E: int, scaling: float) -> Array:
    """W [E, O, I] with the deltas of all experts."""
    return W + scaling * np.stack([delta(A, B, E, expert) for expert in range(E)])


@_expected
def merged_gates(W: Array, A: Array, B: Array, E: int, scaling: float) -> Array:
    """The first halves, [E, O / 2, I], of fused gates and ups [E, O, I] with the deltas of all experts."""
    return merged_experts(W, A, B, E, scaling)[:, : W.shape[1] // 2]


@_expected
def merged_ups(W: Array, A: Array, B: Array, E: int, scaling: float) -> Array:
    """The second halves of the same."""
    return merged_experts(W, A, B, E, scaling)[:, W.shape[1] // 2 :]


@_expected
def merged_experts_swapped(W: Array, A: Array, B: Array, E: int, scaling: float) -> Array:
    """W [E, O, I] with the deltas of all experts, of factors that take the outputs in: A [E * r, O], B [I, E * r]."""
    return W + scaling * np.stack([delta(A, B, E, expert).T for expert in range(E)])


@_expected
def merged_experts_grouped(W: Array, A: Array, B: Array, E: int, scaling: float) -> Array:
    """W [E, O, I] with the deltas of all experts, B grouped."""
    return W + scaling * np.stack([delta_grouped(A, B, E, expert) for expert in range(E)])


@_expected
def times_factors(A: Array, B: Array, E: int) -> Array:
    """[E, I, O]: what a token is multiplied with, of each expert: A_e^T @ B_e^T, B rank_major."""
    return np.stack([delta(A, B, E, expert).T for expert in range(E)])


@_expected
def times_factors_swapped(A: Array, B: Array, E: int) -> Array:
    """The same of factors that take the outputs in, A [E * r, O] and B [I, E * r]: B_e @ A_e."""
    return np.stack([delta(A, B, E, expert) for expert in range(E)])


@_expected
def times_factors_grouped(A: Array, B: Array, E: int) -> Array:
    """[E, I, O] of A and of a B that is grouped."""
    return np.stack([delta_grouped(A, B, E, expert).T for expert in range(E)])


@_expected
def first_halves(W: Array) -> Array:
    """[E, O / 2, I] of W [E, O, I]."""
    return W[:, : W.shape[1] // 2]


@_expected
def second_halves(W: Array) -> Array:
    """The rest."""
    return W[:, W.shape[1] // 2 :]


@_expected
def after_experts(X: Array, W: Array, D: Array) -> Array:
    """X [T, I] after a gated mixture of experts W [E, 2 * F, I] and D [E, I, F] with SiLU.

    Token t goes to the experts t and t + 1, counted around, with the weights 0.25 and 0.75.
    """
    num_experts = W.shape[0]
    out = np.zeros_like(X)
    for t, x in enumerate(X):
        for expert, weight in ((t % num_experts, 0.25), ((t + 1) % num_experts, 0.75)):
            gate, up = np.split(W[expert] @ x, 2)
            out[t] += weight * (D[expert] @ (gate / (1 + np.exp(-gate)) * up))
    return out


@_expected
def slot_of_a(A: Array, slot: int, rank: int) -> Array:
    """[..., I, rank] of all adapters' A [slots, ..., I, most]."""
    return A[slot, ..., :rank]


@_expected
def slot_of_b(B: Array, slot: int, rank: int) -> Array:
    """[..., rank, O] of all adapters' B [slots, ..., most, O]."""
    return B[slot, ..., :rank, :]
