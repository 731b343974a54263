"""config.json of two checkpoints: a finding for each field that a reload would feel, and none for a spelling.

Owns when a difference is an error, a warning or a note. Does not own `tie_word_embeddings`, which depends on what is
stored, nor what a spelling means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from harness.verify.companions.defaults import Default, default_of, is_known
from harness.verify.companions.meaning import LayerPattern, Meaning, read_meaning
from harness.verify.companions.rope import PARTIAL, THETA, aligned
from harness.verify.companions.token_ids import gravity, normal_ids
from harness.verify.companions.values import ABSENT, changed, named, plain, same, shown
from harness.verify.records import Finding, Severity

KIND = "config_mismatch"
FILE = "config.json"
REMOTE_CODE = "auto_map"
CLASSIC = ("rope_theta", "partial_rotary_factor", "rope_scaling", "num_experts")
"""Names that transformers 4 reads, and in whose place 5 may write `rope_parameters` or `num_local_experts`."""
READ_ALIKE = {("hidden_act", "gemma"): {"gelu", "gelu_pytorch_tanh"}}
"""Field and model type to values of which transformers 5.23.0 makes one: models/gemma/configuration_gemma.py."""
MISSING = object()


def compare_configs(
    base: Mapping[str, Any], merged: Mapping[str, Any], *, stored_dtypes: Collection[str] = ()
) -> tuple[Finding, ...]:
    """What a reload of `merged` would find otherwise than one of `base`.

    `stored_dtypes`: of merged's weights, as configurations spell them; empty if it is not known.
    """
    before, after = read_meaning(base), read_meaning(merged)
    lifted = before.model_type != after.model_type and before.text_type == after.text_type
    findings = _model_types(before, after, lifted=lifted)
    if not lifted:
        findings += _architectures(base.get("architectures"), merged.get("architectures"))
    findings += _dtype(_dtype_of(base), _dtype_of(merged), stored_dtypes)
    findings += _quantization(base, merged)
    rope_before, rope_after = aligned(before.rope, after.rope)
    old, new = {**before.fields, **rope_before}, {**after.fields, **rope_after}
    if lifted:
        old, new = _of_text_model(old, new, before.text_type), _of_text_model(new, old, before.text_type)
    findings += _compare_fields(old, new, before.types, FILE)
    findings += _contradictions(before, after)
    findings += _parts(before, after, lifted=lifted)
    return (*findings, *_unreadable_by_transformers_4(before, after))


def _model_types(before: Meaning, after: Meaning, *, lifted: bool) -> list[Finding]:
    if before.model_type == after.model_type:
        return []
    place = f"model_type of {FILE}"
    if lifted:
        why = "the language model is the same, alone on one side and a part of a larger model on the other"
        return [changed(KIND, place, shown(before.model_type), shown(after.model_type), severity="warning", why=why)]
    return [changed(KIND, place, shown(before.model_type), shown(after.model_type))]


def _architectures(before: Any, after: Any) -> list[Finding]:
    if not before or same(before, after):
        return []
    if isinstance(before, list) and isinstance(after, list) and sorted(map(str, before)) == sorted(map(str, after)):
        return []
    why = "" if after else "transformers goes by model_type, other loaders refuse it"
    severity: Severity = "error" if after else "warning"
    place = f"architectures of {FILE}"
    return [changed(KIND, place, shown(before), shown(after) if after else ABSENT, severity=severity, why=why)]


def _dtype_of(config: Mapping[str, Any]) -> str:
    text = config.get("text_config")
    for place in (config, text if isinstance(text, Mapping) else {}):
        for name in ("dtype", "torch_dtype"):
            if isinstance(place.get(name), str):
                return str(place[name]).removeprefix("torch.")
    return ""


def _dtype(before: str, after: str, stored: Collection[str]) -> list[Finding]:
    """A dtype that is not stated is taken from the weights; one that is stated is what they are cast to."""
    if not before or not after or before == after:
        return []
    place = f"dtype of {FILE}"
    if stored and after not in stored:
        why = f"the weights are stored as {named(stored)}, and a reload rounds them"
        return [changed(KIND, place, shown(before), shown(after), why=why)]
    return [changed(KIND, place, shown(before), shown(after), severity="warning", why="the weights are stored so")]


def _quantization(base: Mapping[str, Any], merged: Mapping[str, Any]) -> list[Finding]:
    before = base.get("quantization_config") or base.get("compression_config")
    after = merged.get("quantization_config") or merged.get("compression_config")
    if same(before, after) or not (before or after):
        return []
    place = f"quantization_config of {FILE}"
    if not after:
        why = "what base's weights are after dequantisation cannot be told here, nor whether merged started from them"
        return [changed(KIND, place, "there", ABSENT, severity="warning", why=why)]
    why = "a loader quantises the weights, or reads them as quantised: what it then computes with cannot be told here"
    return [changed("quantised_weights", place, "there" if before else ABSENT, shown(after), why=why)]


def _compare_fields(
    before: Mapping[str, Any], after: Mapping[str, Any], types: tuple[str, ...], place: str
) -> list[Finding]:
    findings: list[Finding] = []
    lost: list[str] = []
    added: list[str] = []
    for name in sorted(before.keys() | after.keys()):
        old = normal_ids(name, before.get(name, MISSING))
        new = normal_ids(name, after.get(name, MISSING))
        fields = {**after, **before} if old is MISSING else {**before, **after}
        verdict = _says_the_same(name, old, new, fields, types)
        if verdict is None:
            (lost if new is MISSING else added).append(name)
        elif not verdict:
            findings.append(_field_changed(name, old, new, types, place))
    for names, side, values in ((lost, "base", before), (added, "merged", after)):
        if names:
            stated = shown({name: values[name] for name in names})
            text = f"{place}: {named(names)}: only {side} states it, and what leaving it out means is not known here"
            expected, got = (stated, ABSENT) if side == "base" else (ABSENT, stated)
            findings.append(Finding(kind=KIND, severity="warning", message=text, expected=expected, got=got))
    return findings


def _of_text_model(fields: Mapping[str, Any], others: Mapping[str, Any], text_type: str) -> dict[str, Any]:
    """Without the fields that only the larger model has around its text model."""
    return {
        name: value
        for name, value in fields.items()
        if name in others or name.startswith("rope.") or default_of((text_type,), name) is not None
    }


def _says_the_same(name: str, old: Any, new: Any, fields: Mapping[str, Any], types: tuple[str, ...]) -> bool | None:
    """Whether both sides of a field mean the same; None if one does not state it and its default is not known.

    `fields`: of the side that does not state it, from which its default may follow.
    """
    if isinstance(old, LayerPattern) or isinstance(new, LayerPattern):
        pattern, other = (old, new) if isinstance(old, LayerPattern) else (new, old)
        return other is MISSING or pattern.gives(other)
    value, other = (new, old) if _is_unset(old) else (old, new)
    if not _is_unset(other) or same(value, other):
        return same(value, other)
    if name.startswith("rope."):
        return None if _is_unknown_rope(name, types) else False  # else completed by what loading adds
    default = _default(types, name)
    if value is None or value is MISSING:
        return default is None or default.holds(None, fields)  # null is as good as absent, where nothing else is known
    if default is not None and (other is MISSING or default.expression):
        return default.holds(value, fields)
    return None if other is MISSING else False


def _is_unset(value: Any) -> bool:
    return value is None or value is MISSING


def _is_unknown_rope(name: str, types: tuple[str, ...]) -> bool:
    last = name.rpartition(".")[2]
    return (last == THETA and default_of(types, f"rope.{THETA}") is None) or (last == PARTIAL and not is_known(types))


def _default(types: tuple[str, ...], name: str) -> Default | None:
    default = default_of(types, name)
    return None if default is None else default._replace(value=normal_ids(name, default.value))


def _field_changed(name: str, old: Any, new: Any, types: tuple[str, ...], place: str) -> Finding:
    default = default_of(types, name)
    unstated = ABSENT if default is None else f"{ABSENT} (by default {default})"
    meant = None if default is None else default.value
    severity, why = gravity(name, meant if old is MISSING else old, meant if new is MISSING else new)
    if name == REMOTE_CODE:
        severity, why = "warning", "it names code that is not run here"
    elif any(READ_ALIKE.get((name, model_type)) == {str(old), str(new)} for model_type in types):
        severity, why = "warning", "transformers 5.23 reads the one as the other, older versions do not"
    before, after = (unstated if value is MISSING else shown(value) for value in (old, new))
    return changed(KIND, f"{plain(name)} of {place}", before, after, severity=severity, why=why)


def _contradictions(before: Meaning, after: Meaning) -> list[Finding]:
    findings = []
    for name, (first, second) in sorted(after.contradictions.items()):
        if not same(before.contradictions.get(name), (first, second)):
            both = f"{shown(first)} and {shown(second)}"
            text = f"{plain(name)} is in {FILE} twice, as {both}: versions read different ones"
            findings.append(Finding(kind=KIND, severity="error", message=text, expected="one value", got=both))
    return findings


def _parts(before: Meaning, after: Meaning, *, lifted: bool) -> list[Finding]:
    findings: list[Finding] = []
    for name in sorted(before.parts.keys() | after.parts.keys()):
        old, new = before.parts.get(name), after.parts.get(name)
        place = f"{plain(name)} of {FILE}"
        model_types = tuple(part.model_type for part in (old, new) if part is not None)
        types = (*model_types, f"{before.model_type}_{name.removesuffix('_config')}")
        if (old is None or new is None) and lifted:
            continue
        if new is None and not is_known(types):
            findings.append(changed(KIND, place, "there", ABSENT))
        else:
            findings += _compare_fields(old.fields if old else {}, new.fields if new else {}, types, place)
    return findings


def _unreadable_by_transformers_4(before: Meaning, after: Meaning) -> tuple[Finding, ...]:
    """A note where base says a thing in the place where transformers 4 looks, and merged only where 5 does."""
    gone = [name for name in CLASSIC if before.stated.get(name) is not None and after.stated.get(name) is None]
    felt = [name for name in gone if not _is_default(f"rope.{name}", before.stated[name], before.types)]
    if not felt:
        return ()
    text = f"{FILE} no longer has {named(felt)}, where transformers 4 looks for it: there its default would be used"
    return (Finding(kind=KIND, severity="note", message=text),)


def _is_default(name: str, value: Any, types: tuple[str, ...]) -> bool:
    default = default_of(types, name)
    return default is not None and same(default.value, value)
