"""Decoder layers held as one: every weight `(num_layers, ...)`, one scan over them, and ordinary per-layer views.

A scan compiles one layer whatever their number. Within a decoding step layers run in a Python loop instead, each on its
own slice, so that the compiler can update every layer's cache in place; see `generation`.
Suffixes: `L` layers, `B` batch, `T` time, `D` hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from reference.jax_stacked.attention import KeyValues, Positions
from reference.jax_stacked.layer import DecoderLayer, Trace

MakeLayer = Callable[[nnx.Rngs], DecoderLayer]
Path = tuple[str, ...]


class StackedDecoderLayers(nnx.Module):
    """Layers of one shape as one layer whose every variable has a leading axis `(num_layers, ...)`."""

    def __init__(self, make_layer: MakeLayer, first_layer: int, num_layers: int, key: Array) -> None:
        """`first_layer` is the index in the model of the first of them; `key` seeds each layer apart."""
        self.first_layer, self.num_layers = first_layer, num_layers
        graph, _ = nnx.split(nnx.eval_shape(lambda: make_layer(nnx.Rngs(0))))

        # One layer's initialiser under vmap: it sees the shapes of a layer, so no statistic depends on their number.
        def values(layer_key: Array) -> Any:
            return nnx.split(make_layer(nnx.Rngs(layer_key)))[1]

        self._stacked = nnx.merge(graph, jax.vmap(values)(jax.random.split(key, num_layers)))

    def __call__(
        self, x_BTD: Array, positions: Positions, *, is_training: bool, checkpointing: bool, trace: bool
    ) -> tuple[Array, KeyValues | None, Trace | None]:
        """Scan over the layers: (B, T, D) to (B, T, D), with keys and values `(L, ...)` and, if asked for, the trace.

        Training keeps neither keys nor values: nothing of them would be used but their memory. With `checkpointing`
        the backward pass keeps only what enters each layer, and computes the rest again.
        """
        graph, state = nnx.split(self._stacked)

        def body(x_BTD: Array, layer_state: Any) -> tuple[Array, tuple[KeyValues | None, Trace | None]]:
            x_BTD, kept, traced = nnx.merge(graph, layer_state)(x_BTD, positions)
            return x_BTD, (None if is_training else kept, traced if trace else None)

        # A scan keeps its own loop from being merged with the recomputation, so the barrier against that can go.
        step = jax.checkpoint(body, prevent_cse=False) if checkpointing else body
        x_BTD, (kept, traced) = jax.lax.scan(step, x_BTD, state)
        return x_BTD, kept, traced

    def layer(self, index: int) -> DecoderLayer:
        """A copy of layer `index` of this stack, on its own."""
        graph, state = nnx.split(self._stacked)
        sliced: DecoderLayer = nnx.merge(graph, jax.tree.map(lambda array: array[index], state))
        return sliced

    def __iter__(self) -> Iterator[DecoderLayer]:
        """Copies of the layers, in order."""
        return (self.layer(index) for index in range(self.num_layers))


class DecoderStacks(nnx.Module):
    """All layers of a model, in order, as one stack for each run of layers of one shape (dense, then sparse)."""

    def __init__(self, makers: Sequence[MakeLayer], key: Array) -> None:
        """`makers` has one entry a layer; neighbours with the same maker share a stack."""
        stacks, first = [], 0
        while first < len(makers):
            end = first + 1
            while end < len(makers) and makers[end] is makers[first]:
                end += 1
            stack_key = jax.random.fold_in(key, first)
            stacks.append(StackedDecoderLayers(makers[first], first, end - first, stack_key))
            first = end
        self.stacks = nnx.List(stacks)

    def __call__(
        self, x_BTD: Array, positions: Positions, *, is_training: bool, checkpointing: bool, trace: bool
    ) -> tuple[Array, list[KeyValues], list[Trace]]:
        """As a stack's, one after the other; keys, values and traces are a list with an entry for each stack."""
        kept, traces = [], []
        for stack in self.stacks:
            x_BTD, stack_kept, stack_trace = stack(
                x_BTD, positions, is_training=is_training, checkpointing=checkpointing, trace=trace
            )
            kept += [] if stack_kept is None else [stack_kept]
            traces += [] if stack_trace is None else [stack_trace]
        return x_BTD, kept, traces

    def __iter__(self) -> Iterator[DecoderLayer]:
        """Copies of all layers, in order."""
        return (layer for stack in self.stacks for layer in stack)


class ArrayRef:
    """A view of a variable, or of one layer of a stacked one: reading slices it, writing goes through to it."""

    def __init__(self, variable: nnx.Variable, layer: int | None = None) -> None:
        self.variable, self.layer = variable, layer

    def __repr__(self) -> str:
        return f"ArrayRef({type(self.variable).__name__}, layer={self.layer}, shape={self.shape}, dtype={self.dtype})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the view, without the stack's axis."""
        shape: tuple[int, ...] = self.variable.get_value().shape
        return shape if self.layer is None else shape[1:]

    @property
    def dtype(self) -> jnp.dtype:
        """Of the variable."""
        return self.variable.get_value().dtype

    @property
    def value(self) -> Array:
        """The view's values, as an array of their own."""
        return self.read()

    def read(self, index: tuple[Any, ...] = ()) -> Array:
        """The values at `index` of the view, as an array of their own; nothing else of it is copied."""
        array: Array = self.variable.get_value()
        place = index if self.layer is None else (self.layer, *index)
        return array[place] if place else array

    def write(self, values: Any, index: tuple[Any, ...] = ()) -> None:
        """Put `values` at `index` of the view (all of it by default), in place: the variable's old array is given up.

        A write with another shape than that of the place raises ValueError; nothing is broadcast.
        """
        array = self.variable.get_value()
        place = index if self.layer is None else (self.layer, *index)
        wanted = jax.eval_shape(lambda held: held[place], array).shape
        if tuple(values.shape) != wanted:
            raise ValueError(f"cannot write {tuple(values.shape)} into a place of shape {wanted}")
        # Integers as arrays, so that writing each layer does not compile a program each.
        traced = tuple(jnp.asarray(part) if isinstance(part, int) else _Static(part) for part in place)
        self.variable.set_value(_put(array, jnp.asarray(values, array.dtype), traced))


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["start", "stop"])
class _Static:
    """A slice as part of what a program is compiled for."""

    def __init__(self, part: slice | None = None, start: int | None = None, stop: int | None = None) -> None:
        self.start = part.start if part is not None else start
        self.stop = part.stop if part is not None else stop


@partial(jax.jit, donate_argnums=0)
def _put(array: Array, values: Array, place: tuple[Any, ...]) -> Array:
    index = tuple(slice(part.start, part.stop) if isinstance(part, _Static) else part for part in place)
    return array.at[index].set(values)


def unstack_state(model: nnx.Module, kind: type[nnx.Variable] = nnx.Variable) -> dict[Path, ArrayRef]:
    """Every variable of `model` that is a `kind`, under the path it would have if no layer were stacked.

    `layers.stacks.1._stacked.mlp.down_proj.kernel` of a stack that begins at layer 3 becomes
    `layers.3.mlp.down_proj.kernel`, `layers.4.…`: a view each. Stacks are found by their type, wherever they are, and
    nothing is there twice. Paths are strings throughout.
    """
    stacks = {
        _strings(path): module for path, module in nnx.iter_modules(model) if isinstance(module, StackedDecoderLayers)
    }
    views: dict[Path, ArrayRef] = {}
    for entries, variable in nnx.to_flat_state(nnx.state(model)):
        if not isinstance(variable, kind):
            continue
        path = _strings(entries)
        home = next((length for length in range(len(path)) if path[:length] in stacks), None)
        live = _variable_at(model, entries)
        if home is None:
            views[path] = ArrayRef(live)
            continue
        stack = stacks[path[:home]]
        # The list of stacks that a stack is in is as much our own bookkeeping as the stack is.
        base = path[: home - 2] if path[home - 2 : home - 1] == ("stacks",) else path[:home]
        for index in range(stack.num_layers):
            views[(*base, str(stack.first_layer + index), *path[home + 1 :])] = ArrayRef(live, index)
    return views


def _strings(entries: Sequence[Any]) -> Path:
    return tuple(str(entry) for entry in entries)


def _variable_at(model: nnx.Module, entries: Sequence[Any]) -> nnx.Variable:
    """The model's own variable: what a state holds is a copy of it."""
    place: Any = model
    for entry in entries:
        place = place[entry] if isinstance(entry, int) else getattr(place, str(entry))
    return place
