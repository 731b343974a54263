"""Puts a fault (or a variation, which must not matter) into a job, and takes it out again.

It draws where it hits, and patches what it patches: what the job saves, one function of its stack, or what surrounds
it; never a check. Runs inside cells; knows no verdict.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

import cases.faults
import cases.variations
from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import CanonicalTensor, module_table, roles_of
from harness.checkpoints.safetensors_file import (
    SINGLE_FILE,
    TensorEntry,
    read_header,
    read_index,
    read_tensor,
    write_file,
)
from harness.errors import CaseError
from harness.metrics.observed import ORACLE
from harness.records.cases import Stack
from harness.records.jobs import Hit, ReadJob, WriteJob

ADAPTER_FILE = "adapter_model.safetensors"
Change = Callable[[str, np.ndarray], np.ndarray]
"""(name, float32 values) → the values that are stored in their place."""
Stored = tuple[str, np.ndarray]
"""How safetensors calls the dtype, and float32 values."""
Remake = Callable[[dict[str, Stored]], Mapping[str, Stored]]
"""All tensors of a file, by name → what is stored in their place."""


@functools.cache
def modules(*packages: ModuleType) -> Mapping[str, ModuleType]:
    """Every module of the faults (or of these packages) by its name. Raises CaseError where two have one name."""
    found: dict[str, ModuleType] = {}
    for module in chain.from_iterable(
        pkgutil.walk_packages(package.__path__, prefix=f"{package.__name__}.")
        for package in packages or (cases.faults,)
    ):
        name = module.name.rpartition(".")[-1]
        if module.ispkg:
            continue
        if name in found:
            raise CaseError(f"two faults are called {name!r}", where=module.name)
        found[name] = importlib.import_module(module.name)
    return found


@contextmanager
def struck(job: WriteJob | ReadJob, stack: Stack) -> Iterator[Callable[[], Hit | None]]:
    """The block with the job's fault in it, if it has one; what it hit is known when the block has ended."""
    if job.strike is None:
        yield lambda: None
        return
    scene = Scene(job, stack)
    modules(cases.faults, cases.variations)[job.strike.fault].strike(scene)
    with scene.applied():
        yield lambda: scene.hit


class Scene:
    """A job that is about to be done, and what a fault may do to it."""

    def __init__(self, job: WriteJob | ReadJob, stack: Stack) -> None:
        assert job.strike is not None
        self.job, self.stack = job, stack
        self.case, self.family = job.case, job.family
        self.config = effective_config(job.family, job.case)
        self.draw = Random(f"{job.strike.seed} {job.strike.fault} {job.case.name}")
        self.table: Mapping[str, CanonicalTensor] = module_table(self.family, self.config)
        self.hit = Hit()
        self._patches: list[tuple[str, Callable[[Any], Any]]] = []
        self._environment: dict[str, str | None] = {}
        self._is_compiled_anew = False

    # What is hit

    def pick(self, choices: Sequence[Any]) -> Any:
        """One of them, by the seed."""
        return self.draw.choice(list(choices))

    def tensors(self, *roles: str, layer: int | None = None, expert: int | None = None) -> tuple[str, ...]:
        """Canonical names of the tensors with one of these roles (beginnings, such as "experts."), or of all."""
        return tuple(
            name
            for name, tensor in self.table.items()
            if (not roles or tensor.role.startswith(roles))
            and (layer is None or tensor.layer == layer)
            and (expert is None or tensor.expert == expert)
        )

    def adapted(self) -> tuple[str, ...]:
        """Canonical names of what the case adapts."""
        roles = roles_of(self.family, self.case.adapter.adapt)
        return tuple(name for name, tensor in self.table.items() if tensor.role in roles)

    def layer_of(self, *roles: str) -> int:
        """A layer that has such tensors."""
        return int(self.pick(sorted({self.table[name].layer for name in self.tensors(*roles)} - {None})))

    def expert(self) -> int:
        """An expert."""
        return int(self.draw.randrange(self.num_experts))

    @functools.cached_property
    def _base_index(self) -> Mapping[str, TensorEntry]:
        return read_index(Path(self.job.base))

    @property
    def num_experts(self) -> int:
        """Of a layer."""
        return int(self.config[self.family.experts])

    def hits(self, *tensors: str) -> None:
        """These tensors are what a finding must name."""
        self.hit = replace(self.hit, tensors=tuple(sorted({*self.hit.tensors, *tensors})))

    def hits_keys(self, *keys: str) -> None:
        """These tensors of the adapter's file, for whoever finds names in it that mean nothing."""
        self.hit = replace(self.hit, keys=tuple(sorted({*self.hit.keys, *keys})))

    def hits_field(self, name: str) -> None:
        """This field of a configuration."""
        self.hit = replace(self.hit, field=name)

    def hits_file(self, name: str) -> None:
        """This file of what is saved."""
        self.hit = replace(self.hit, file=name)

    # Where a fault is put

    def patch(self, target: str, wrapper: Callable[[Any], Any]) -> None:
        """`module:attribute` (dotted) is replaced by `wrapper(the original)` while the job is done.

        The attribute is the module's or class's own, not an inherited one.
        """
        self._patches.append((target, wrapper))

    def after(self, target: str, do: Callable[..., Any]) -> None:
        """Once `target` has been called, `do(what it returned, *its arguments)`; what that returns is returned."""

        def wrapper(original: Any) -> Any:
            @functools.wraps(original)
            def call(*arguments: Any, **options: Any) -> Any:
                return do(original(*arguments, **options), *arguments, **options)

            return call

        self.patch(target, wrapper)

    def merged_saved(self, do: Callable[[Path], None]) -> None:
        """`do` with the folder of the merged checkpoint, once the stack has saved it and nobody has read it."""
        self._saved("save_merged", do)

    def adapter_saved(self, do: Callable[[Path], None]) -> None:
        """`do` with the folder of the adapter (each dialect's), once the stack has saved it."""
        self._saved("save_adapter", do)

    def before_merge(self, do: Callable[[Any], None]) -> None:
        """`do` with the trained model once its adapter is saved: what it changes there, the merge alone is made of."""

        def change(saved: Any, trained: Any, *_: Any) -> Any:
            do(trained)
            return saved

        self.after(f"reference.{self.stack}.writing:save_adapter", change)

    def merge_deltas(self, change: Callable[[Any, Any], Any]) -> None:
        """The merge alone adds `change(module, delta)` for each delta that PEFT makes: a tensor for a tensor."""

        def wrap(module: Any) -> None:
            made = module.get_delta_weight
            module.get_delta_weight = lambda *arguments, **options: change(module, made(*arguments, **options))

        def each(trained: Any) -> None:
            for module in trained.modules():
                if hasattr(module, "lora_A") and hasattr(module, "get_delta_weight"):
                    wrap(module)

        self.before_merge(each)

    def config_read(self, edit: Callable[[Any], object]) -> None:
        """`edit` of each configuration that transformers has read, before a model is made of it."""

        def change(read: Any, *_arguments: Any, **_options: Any) -> Any:
            edit(read[0] if isinstance(read, tuple) else read)
            return read

        self.after("transformers:PretrainedConfig.from_dict", change)

    def jax_loads(self, names: Sequence[str], change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Of these tensors, `change(stored values)` is what the JAX stack puts into its model when it loads one."""
        self._jax_places(names, "write", lambda write: lambda values: write(change(values)))

    def jax_saves(self, names: Sequence[str], change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Of these tensors, `change(what is to be stored)` is what the JAX stack saves."""
        self._jax_places(names, "read", lambda read: lambda: change(read()))

    def environment(self, name: str, value: str | None) -> None:
        """A variable of the environment, or none of that name."""
        self._environment[name] = value

    def compiled_anew(self) -> None:
        """For what patches the JAX stack: programs that are compiled already do without the patch, and later jobs must
        not run those that are compiled with it.
        """
        self._is_compiled_anew = True

    @contextmanager
    def applied(self) -> Iterator[None]:
        """All of it, for the length of the block."""
        with ExitStack() as stack:
            if self._is_compiled_anew:
                jax = importlib.import_module("jax")
                jax.clear_caches()
                stack.callback(jax.clear_caches)
            for name, value in self._environment.items():
                stack.callback(_set_variable, name, os.environ.get(name))
                _set_variable(name, value)
            for target, wrapper in self._patches:
                owner, attribute = _find(target)
                held = vars(owner)[attribute]
                stack.callback(setattr, owner, attribute, held)
                # Of a class method the function, whose first argument is the class: bound, it would be this very class.
                is_bound = isinstance(held, classmethod | staticmethod)
                setattr(owner, attribute, type(held)(wrapper(held.__func__)) if is_bound else wrapper(held))
            yield

    def jax_saves_factors(self, change: Callable[[Any], Any]) -> None:
        """The JAX stack saves `change(factors)` of each module that is adapted."""

        def wrapper(write: Any) -> Any:
            def call(directory: Any, adapter: Any, *arguments: Any, **options: Any) -> Any:
                factors = {path: change(each) for path, each in adapter.factors.items()}
                return write(directory, replace(adapter, factors=factors), *arguments, **options)

            return call

        self.patch("reference.jax_stacked.writing:write_adapter", wrapper)

    def _jax_places(self, names: Sequence[str], method: str, wrapper: Callable[[Any], Any]) -> None:
        """The loader and the saver share this table. What is observed of a model is read through another name of it."""

        def struck_place(place: Any) -> SimpleNamespace:
            methods = {"read": place.read, "write": place.write}
            methods[method] = wrapper(methods[method])
            return SimpleNamespace(view=place.view, shape=place.shape, **methods)

        def places(found: dict[str, Any], *_arguments: Any, **_options: Any) -> dict[str, Any]:
            return {name: struck_place(place) if name in names else place for name, place in found.items()}

        self.after("reference.jax_stacked.checkpoints:places", places)

    def _saved(self, function: str, do: Callable[[Path], None]) -> None:
        def damage(returned: Any, *arguments: Any, **_options: Any) -> Any:
            do(Path(arguments[-1]))
            return returned

        self.after(f"reference.{self.stack}.writing:{function}", damage)

    # Files

    def base_tensor(self, name: str) -> np.ndarray:
        """Of the base checkpoint, float32."""
        return read_tensor(self._base_index[name])

    def restore(self, directory: Path, names: Sequence[str]) -> None:
        """These tensors of a checkpoint as they are in base."""
        rewrite(directory, names, lambda name, _: self.base_tensor(name))

    def left_as_base(self, *names: str) -> None:
        """These tensors are hit: the merged checkpoint holds base's."""
        self.hits(*names)
        self.merged_saved(lambda directory: self.restore(directory, names))

    def change(self, directory: Path, names: Sequence[str], change: Callable[[np.ndarray, np.ndarray], Any]) -> None:
        """These tensors of a merged checkpoint as `change(base, delta)`, in float64, rounded as they are stored.

        The delta is the true one, which the write has put beside the checkpoint.
        """
        deltas = {entry.name: entry for entry in read_header(directory.parent / ORACLE)}

        def changed(name: str, _values: np.ndarray) -> np.ndarray:
            delta = read_tensor(deltas[name]).astype(np.float64)
            return np.asarray(change(self.base_tensor(name).astype(np.float64), delta))

        rewrite(directory, names, changed)

    def remake_merged(self, directory: Path, remake: Remake) -> None:
        """The tensors of a merged checkpoint of one file as `remake` gives them."""
        _remake(directory / SINGLE_FILE, remake)

    def remake_adapter(self, directory: Path, remake: Remake) -> None:
        """The tensors of a saved adapter as `remake` gives them: under other names, fewer, or in other dtypes."""
        _remake(directory / ADAPTER_FILE, remake)

    def rename_factors(self, rename: Callable[[str], str]) -> None:
        """The adapter is saved under the names that `rename` gives; the keys that are new are hit."""

        def remake(tensors: dict[str, Stored]) -> dict[str, Stored]:
            self.hits_keys(*({rename(name) for name in tensors} - tensors.keys()))
            return {rename(name): stored for name, stored in tensors.items()}

        self.adapter_saved(lambda directory: self.remake_adapter(directory, remake))

    def edit_json(self, path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
        """A JSON file after `edit` of what it holds."""
        content = json.loads(path.read_text(encoding="utf-8"))
        edit(content)
        path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def rewrite(directory: Path, names: Sequence[str], change: Change) -> None:
    """Change the tensors `names` of a checkpoint or adapter, in its own files and dtypes; some byte must change."""
    single = directory / ADAPTER_FILE
    index = {e.name: e for e in read_header(single)} if single.exists() else read_index(directory)

    def changed(tensors: dict[str, Stored]) -> dict[str, Stored]:
        return {
            name: (dtype, change(name, values) if name in names else values)
            for name, (dtype, values) in tensors.items()
        }

    for path in sorted({index[name].path for name in names}):
        _remake(path, changed)


def _remake(path: Path, remake: Remake) -> None:
    before = path.read_bytes()
    write_file(path, remake({entry.name: (entry.dtype, read_tensor(entry)) for entry in read_header(path)}))
    assert path.read_bytes() != before, f"{path} is as it was: nothing was damaged"


def _find(target: str) -> tuple[Any, str]:
    """The owner of what is to be patched, and its name there."""
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, attribute = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return owner, attribute


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
