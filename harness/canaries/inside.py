"""What executes a guard, in the process that is shut in: `answer` is the entry of a sandbox.

Standard library only: it runs in any cell, and in no environment of ours. Calls (`records.Call`) see all that is public
here. It knows what to call, and not what should come of it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

MAX_TEXT = 300
_TOUCHED: list[str] = []
_MISSING: list[str] = []
"""What somebody asked whether it is there, and it is not."""


# --- What calls may use.


class Shaped:
    """A tensor as far as its shape goes."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape
        self.ndim = len(shape)

    def size(self, axis: int | None = None) -> Any:
        """As torch has it."""
        return self.shape if axis is None else self.shape[axis]

    def dim(self) -> int:
        """As torch has it."""
        return len(self.shape)


class Thing:
    """Something with the attributes that are given."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Hostile:
    """Something of which every attribute raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class Endless:
    """A chain of `link` that never ends for whoever has a bound, and counts how far somebody goes along it.

    Its links stay: were they forgotten, a new one could have the identity of an old one, and look like a ring.
    """

    steps = 0
    END = 10_000
    _links: ClassVar[list[Endless]] = []

    def __init__(self, link: str = "base_layer") -> None:
        self.__dict__["_link"] = link
        Endless._links.append(self)

    def __getattr__(self, name: str) -> Any:
        if name != self.__dict__["_link"] or Endless.steps >= self.END:
            raise AttributeError(name)
        Endless.steps += 1
        return Endless(name)


def chain(length: int, link: str = "base_layer", **last: Any) -> Thing:
    """`length` things, each but the last with the next as `link`; the last has the attributes `last`."""
    thing = Thing(**last)
    for _ in range(length - 1):
        thing = Thing(**{link: thing})
    return thing


def ring(length: int, link: str = "base_layer") -> Thing:
    """`length` things, each with the next as `link`, and the last with the first."""
    things = [Thing() for _ in range(length)]
    for thing, following in zip(things, [*things[1:], things[0]], strict=True):
        setattr(thing, link, following)
    return things[0]


def tensor(values: Any, dtype: str = "float32") -> Any:
    """Nested lists as a torch tensor."""
    torch = importlib.import_module("torch")
    return torch.tensor(values, dtype=getattr(torch, dtype))


class Absent(Exception):
    """What a canary is about is not there."""


# --- Executing.


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Load what is to be executed, then execute the calls in the order of the request; each answer as JSON has it.

    `modules` are sources by name, `folders` are put on the path, `stand_ins` are names of packages that are not to be
    had, `symbols` are `module:name` by alias, `before` and `setup` are executed before and after they are loaded.
    """
    if already := _already_there(request["folders"]):
        return {"failed": {"kinds": ["ImportError"], "message": f"{already} was imported before, from elsewhere"}}
    _LOADED.clear()
    sys.meta_path.insert(0, _Finder(request["modules"], request["stand_ins"]))
    sys.path[:0] = request["folders"]
    random.seed(request["seed"])
    names: dict[str, Any] = {
        name: globals()[name]
        for name in ("Shaped", "Thing", "Hostile", "Endless", "chain", "ring", "tensor", "Absent", "importlib", "sys")
    }
    try:
        for text in request["before"]:
            exec(compile(text, "<before>", "exec"), names)
        for alias, place in request["symbols"].items():
            names[alias] = _found(place)
        exec(compile(request["setup"], "<setup>", "exec"), names)
    except BaseException as error:  # noqa: BLE001 - upstream may raise anything
        return {"failed": _told(error), "stand_ins": _touched()}
    results = []
    for group in request["groups"]:
        for call in group["calls"]:
            _TOUCHED.clear()
            results.append({**_executed(call, {**names, **group["given"]}), "stand_ins": _touched()})
    return {"results": results, "missing": sorted(set(_MISSING))[:20]}


def _already_there(folders: Sequence[str]) -> str:
    """A package of the folders that would not be imported from them; empty if there is none."""
    names = {name for folder in folders for name in os.listdir(folder)}
    return next((name for name in sorted(names) if name in sys.modules), "")


def _executed(call: str, names: dict[str, Any]) -> dict[str, Any]:
    try:
        try:
            code = compile(call, "<call>", "eval")
        except SyntaxError:
            exec(compile(call, "<call>", "exec"), names)
            return {"returns": _plain(names["answer"])}
        return {"returns": _plain(eval(code, names))}  # noqa: S307 - this process is shut in for it
    except BaseException as error:  # noqa: BLE001 - as above
        return {"raises": _told(error)}


def _found(place: str) -> Any:
    module, _, name = place.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        if part:
            try:
                found = getattr(found, part)
            except AttributeError as error:
                raise Absent(f"{name} is not in {module} when that is loaded") from error
    return found


def _told(error: BaseException) -> dict[str, Any]:
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind not in (object, BaseException)]
    try:
        message = str(error)[:MAX_TEXT]
    except BaseException:  # noqa: BLE001 - as above
        message = ""
    return {"kinds": kinds, "message": message}


def _plain(value: Any, depth: int = 0) -> Any:
    """As JSON has it: arrays as nested lists, anything unknown as the name of its type."""
    if isinstance(value, StandIn):
        return {"object": "a stand-in"}
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if depth > 8:
        return {"object": "too deep"}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if callable(getattr(value, "tolist", None)) and hasattr(value, "shape"):
        value = value.detach().float().cpu() if hasattr(value, "detach") else value
        return _plain(value.tolist(), depth + 1)
    return {"object": type(value).__name__}


# --- Importing: sources that were sent, and stand-ins.


_SAYING = frozenset({"get_logger", "debug", "info", "warning", "warning_once", "error"})
"""Whoever calls these makes nothing of what they answer."""


class StandIn:
    """Of a package that is not to be had: any attribute is one too, a call gives one. To touch it is remembered.

    As a decorator it does nothing, and so does what it makes.
    """

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if name not in _SAYING:
            _TOUCHED.append(f"{self._name}.{name}")
        return StandIn(f"{self._name}.{name}")

    def __call__(self, *arguments: Any, **_: Any) -> Any:
        """What it is called with as a decorator, or another stand-in."""
        if self._name.rpartition(".")[2] not in _SAYING:
            _TOUCHED.append(self._name)
        if len(arguments) == 1 and (isinstance(arguments[0], type) or hasattr(arguments[0], "__code__")):
            return arguments[0]
        return StandIn(f"{self._name}()")

    def __mro_entries__(self, _: Any) -> tuple[type, ...]:
        return ()

    def __bool__(self) -> bool:
        _TOUCHED.append(self._name)
        _MISSING.append(self._name)
        return False


def _touched() -> list[str]:
    return sorted(set(_TOUCHED))[:20]


_LOADED: dict[str, ModuleType] = {}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Of sources by the names of their modules, and of packages that are stand-ins with all that is in them."""

    def __init__(self, sources: Mapping[str, str], stand_ins: Sequence[str]) -> None:
        self._sources = sources
        self._stand_ins = frozenset(stand_ins)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """As importlib asks."""
        is_package = any(each.startswith(f"{name}.") for each in (*self._sources, *self._stand_ins))
        if name not in self._sources and not is_package and not self._is_stand_in(name):
            return None
        # What is none is not made one: its relative imports would begin a step too low.
        return importlib.util.spec_from_loader(name, self, is_package=is_package or name not in self._sources)

    def _is_stand_in(self, name: str) -> bool:
        return any(each in self._stand_ins for each in _prefixes(name))

    def exec_module(self, module: ModuleType) -> None:
        """As importlib asks."""
        name = module.__name__
        if name in self._sources:
            module.__file__ = f"/nowhere/{name}.py"
            exec(compile(self._sources[name], f"<{name}>", "exec"), module.__dict__)
        elif self._is_stand_in(name):
            stand_in = StandIn(name)
            module.__getattr__ = lambda attribute: getattr(stand_in, attribute)  # type: ignore[method-assign]
            module.__version__ = "0"  # type: ignore[attr-defined]


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        yield ".".join(parts[:length])
