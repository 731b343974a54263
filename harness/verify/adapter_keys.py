"""What the name of a tensor in an adapter's file means, by PEFT's rules for writing and reading names.

PEFT leaves the adapter's name out when it saves and puts it in again when it loads (save_and_load.py of 0.15 to 0.20,
`_remap_adapter_state_dict_for_load` of 0.21), and hands the result to torch without checking that all of it was wanted.
So a name that it does not write is dropped in silence, and here says why. Knows no configuration and no shapes.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from harness.errors import ArtifactError
from harness.verify.records import Severity

PREFIX = "base_model.model."
MAX_NAME = 512
"""Characters: no model's paths come near, and what is done with a name may take the square of it."""
WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Segments that compiling and sharding put anywhere into a path."""
OUTER_WRAPPERS = ("module.", PREFIX)
"""What stands before a whole path: DistributedDataParallel, a PeftModel within another."""

Part = Literal["A", "B", "embedding_A", "embedding_B", "magnitude", "bias"]
PARTS: dict[str, Part] = {
    "lora_A.weight": "A",
    "lora_B.weight": "B",
    "lora_B.bias": "bias",
    "lora_embedding_A": "embedding_A",
    "lora_embedding_B": "embedding_B",
    "lora_magnitude_vector": "magnitude",
    "lora_magnitude_vector.weight": "magnitude",  # as PEFT names it in memory, and reads it too
}
"""What stands behind a module's path."""
_SKYRL = re.compile(r"(?:.*\.)?experts\.\d+\.\w+\.lora_[AB]")
_DROPPED = "PEFT drops it without a word"
_UNNAMED = "PEFT looks for names with it alone, and drops this one without a word"


class FactorKey(NamedTuple):
    """A part of a LoRA pair."""

    module: str
    depth: int
    """How many `base_layer` stand behind the module's path."""
    part: Part
    unwrapped: bool
    """Whether wrappers were left out, which PEFT on a bare base would not do."""


class WholeKey(NamedTuple):
    """A parameter of the model itself."""

    name: str
    unwrapped: bool


class StrayKey(NamedTuple):
    """A tensor that is dropped, or says nothing."""

    reason: str
    severity: Severity = "error"
    twin: str = ""
    """The whole tensor that this is only a copy of, if the file has that too."""


def parse_key(key: str, *, where: str = "") -> FactorKey | WholeKey | StrayKey:
    """What PEFT takes the tensor called `key` for. Raises ArtifactError for what no model has as a name."""
    if len(key) > MAX_NAME or not key.isprintable():
        raise ArtifactError(
            "not the name of a tensor",
            where=where or None,
            expected=f"up to {MAX_NAME} characters",
            got=ascii(key[:80]),
        )
    name = _without_wrappers(key)
    if not name.startswith(PREFIX):
        return StrayKey(_why_unprefixed(name))
    path = name.removeprefix(PREFIX)
    return _parse_path(path, unwrapped=name != key)


def _without_wrappers(key: str) -> str:
    """`key` with one prefix at most, and without what wrappers put before and into it."""
    name = key
    if any(wrapper in key for wrapper in WRAPPERS):
        name = ".".join(segment for segment in key.split(".") if segment not in WRAPPERS)
    is_prefixed = False
    while outer := next((outer for outer in OUTER_WRAPPERS if name.startswith(outer)), None):
        is_prefixed = is_prefixed or outer == PREFIX
        name = name.removeprefix(outer)
    return PREFIX + name if is_prefixed else name


def _parse_path(path: str, *, unwrapped: bool) -> FactorKey | WholeKey | StrayKey:
    module, marker, tail = path.rpartition(".lora_")
    if not path or path.startswith("lora_"):
        return StrayKey(f"the path of a module is missing in it: {_DROPPED}")
    if not marker:
        return _parse_whole(path, unwrapped=unwrapped)
    part = PARTS.get(f"lora_{tail}")
    if part is None:
        return StrayKey(_why_no_part(f"lora_{tail}"))
    bare = module
    while bare.endswith(".base_layer"):
        bare = bare.removesuffix(".base_layer")
    return FactorKey(bare, (len(module) - len(bare)) // len(".base_layer"), part, unwrapped)


def _parse_whole(path: str, *, unwrapped: bool) -> WholeKey | StrayKey:
    segments = path.split(".")
    if "original_module" in segments:
        return StrayKey("the untrained copy of a module in modules_to_save, which PEFT does not use", "note")
    if "modules_to_save" in segments:
        twin = re.sub(r"\.modules_to_save(\.[^.]+)?(?=\.[^.]+$)", "", path)
        return StrayKey("PEFT writes modules_to_save without this segment, and does not find it with it", twin=twin)
    if "token_adapter" in segments:
        return StrayKey("rows of an embedding (trainable_token_indices), which are not told here", "note")
    name = ".".join(segment for segment in segments if segment != "base_layer")
    return WholeKey(name, unwrapped)


def _why_unprefixed(name: str) -> str:
    if _SKYRL.fullmatch(name):
        return (
            f"SkyRL tx writes experts so, without {PREFIX!r} and '.weight'. PEFT drops it without a word, unless it is "
            "0.19 or later, on transformers 5, and the configuration targets the experts"
        )
    return f"{PREFIX!r} is not before it: {_UNNAMED}"


def _why_no_part(tail: str) -> str:
    for known in PARTS:
        start, dot, end = known.partition(".")
        if tail == start:
            return f"'.{end}' is not behind it: {_UNNAMED}"
        if not end and tail == f"{start}.weight":
            return "'.weight' is behind it: PEFT looks for names without it alone, and drops this one without a word"
        if re.fullmatch(rf"{start}\.[^.]+{re.escape(dot + end)}", tail):
            return (
                "the adapter's own name is in it. PEFT puts it in when it loads: up to 0.20 it is then there twice and "
                "dropped without a word, later it is read if the adapter is loaded under this very name"
            )
    return f"plain LoRA has no {tail[:40]!r}: {_DROPPED}"
