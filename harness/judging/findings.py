"""Names what is wrong: from failed checks to findings (kind, layer, tensor, expert) and to one cause signature.

Judges nothing: it runs only when the verdict is not PASS. A cause signature is stable text, without numbers that
change from run to run, because known outcomes are declared by it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import CanonicalTensor, canonical_names, module_table
from harness.metrics import contradictions, coverage, dtypes, initial, inventory, layers, untrained
from harness.metrics.observed import Observed
from harness.metrics.weight_table import WeightTable
from harness.records.jobs import Contradiction
from harness.records.results import Check, Finding, Location

SAME_DIRECTION = 0.05
"""How far a residual may be from a pure multiple of the delta, relative to the delta, and still be called a scale."""
SYMPTOMS = {"logits_not_finite", "logits_differ", "samples_differ", "no_signal", "not_measured"}
"""Kinds that only say that something is wrong: left out of a cause that has a better name."""


def find(observed: Observed, checks: Sequence[Check]) -> tuple[Finding, ...]:
    """Every finding of a result that did not pass, the gravest first."""
    failed = {check.metric: check for check in checks if check.verdict == "FAIL"}
    findings: list[Finding] = []
    if observed.answer.crash is not None:
        return (_crash(observed),)  # whatever else is missing, is missing because of it
    if "config_changed" in failed:
        findings += [
            Finding(
                kind=_field_kind(name),
                message=f"{name} came back as {got}",
                where=Location(tensor=name),
                expected=expected,
                got=got,
            )
            for name, expected, got in inventory.changed_fields(observed)
        ]
    if "keys_unplaced" in failed:
        findings += _keys(observed, _roles(observed))
    if contradictions.NAME in failed:
        findings += _contradictions(observed)
    if observed.weights is not None:
        residual = next((check for check in checks if check.metric == "weight_residual_max"), None)
        tolerance = 0.0 if residual is None or residual.tolerance is None else residual.tolerance
        findings += _weights(observed, observed.weights, tolerance)
        if dtypes.NAME in failed:
            findings += _dtypes(observed, observed.weights)
    if failed.keys() & {"coverage_lost", "coverage_extra"}:
        findings += _coverage(observed)
    if "files_missing" in failed:
        findings += [
            Finding(kind=_file_kind(path), message=f"{path} was not saved", expected=path, got="no such file")
            for path in inventory.missing_files(observed)
        ]
    findings += _training(observed, failed)
    findings += _running(failed)
    findings += _symptoms(observed, checks, failed)
    return tuple(findings)


def cause_of(observed: Observed, checks: Sequence[Check], findings: Sequence[Finding]) -> str:
    """The signature: kinds with what they touch, sorted, symptoms left out where there is a cause."""
    parts: dict[str, set[str]] = defaultdict(set)
    roles = _roles(observed)
    for finding in findings:
        parts[finding.kind].add(finding.got if finding.kind == "crashed" else _subject(finding, roles))
    causes = {kind: subjects for kind, subjects in parts.items() if kind not in SYMPTOMS} or parts
    return "; ".join(f"{kind} {','.join(sorted(subjects))}".strip() for kind, subjects in sorted(causes.items()))


def _subject(finding: Finding, roles: dict[str, CanonicalTensor]) -> str:
    tensor = finding.where.tensor
    return roles[tensor].role if tensor in roles else _pattern(tensor)


def _roles(observed: Observed) -> dict[str, CanonicalTensor]:
    return module_table(observed.family, effective_config(observed.family, observed.case))


def _pattern(name: str) -> str:
    return re.sub(r"\b\d+\b", "*", name)


def _crash(observed: Observed) -> Finding:
    crash = observed.answer.crash
    assert crash is not None
    first = crash.message.strip().splitlines()[0] if crash.message.strip() else ""
    return Finding(
        kind="crashed",
        message=f"{crash.stage} raised {crash.exception}: {first[:300]}",
        expected=f"{crash.stage} to finish",
        got=f"{crash.stage} {crash.exception} {stable_words(crash.message)}".strip(),
    )


def stable_words(message: str) -> str:
    """The part of an error message that two runs share: the phrase that names it, without names, numbers and paths."""
    for phrase in ("size mismatch", "shape mismatch", "not found in the base model"):
        if phrase in message:
            return phrase
    first = message.strip().splitlines()[0] if message.strip() else ""
    first = re.sub(r"(?<=\w)'(?=\w)", "", first)  # the apostrophe of "can't" opens no quotation
    words = re.sub(r"['\"`(\[{<].*?['\"`)\]}>]|\S*[/\d]\S*", " ", first)
    return " ".join(re.findall(r"[A-Za-z_]{2,}", words)[:8])


def _keys(observed: Observed, roles: dict[str, CanonicalTensor]) -> list[Finding]:
    found = []
    loading = observed.answer.loading
    for kind, names in (
        ("keys_missing", loading.missing),
        ("keys_unexpected", loading.unexpected),
        ("keys_mismatched", loading.mismatched),
    ):
        groups: dict[str, list[str]] = defaultdict(list)
        for name in names:
            groups[_pattern(name)].append(name)
        for pattern, members in sorted(groups.items()):
            text = f"{len(members)} keys like {pattern} were reported {kind.removeprefix('keys_')} by the loader"
            found.append(Finding(kind=kind, message=text, where=_place(members, roles), num_alike=len(members)))
    return found


def _place(names: Sequence[str], roles: dict[str, CanonicalTensor]) -> Location:
    """The first of the tensors; a layer or an expert is named only where all of them have it."""
    places = [roles.get(name) for name in names]
    layers = {place.layer if place is not None else None for place in places}
    experts = {place.expert if place is not None else None for place in places}
    return Location(
        tensor=names[0],
        layer=layers.pop() if len(layers) == 1 else None,
        expert=experts.pop() if len(experts) == 1 else None,
    )


def _weights(observed: Observed, table: WeightTable, tolerance: float) -> list[Finding]:
    roles = _roles(observed)
    tied = bool(effective_config(observed.family, observed.case).get("tie_word_embeddings"))
    misread = observed.answer.notes.get("misread", {})
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in np.flatnonzero(_wrong(table, tolerance)):
        name = str(table.name[row])
        role = roles[name].role if name in roles else _pattern(name)
        kind = misread.get(name) or _kind(table, int(row))
        if tied and role in ("embedding", "head"):
            kind = "tied_weights_broken"
        groups[kind, role].append(int(row))
    found = [_group(table, roles, kind, role, rows) for (kind, role), rows in sorted(groups.items())]
    for name in table.unexpected:
        text = f"{name} has no place in base"
        found.append(Finding(kind="tensor_unexpected", message=text, where=Location(tensor=str(name))))
    return found


def _wrong(table: WeightTable, tolerance: float) -> np.ndarray:
    targeted = table.delta_norm > 0
    off = targeted & ~table.lost & (table.residual_norm > tolerance * table.delta_norm)
    wrong: np.ndarray = off | (~targeted & table.changed) | ~table.present | ~table.shape_ok | ~table.finite
    return wrong


def _kind(table: WeightTable, row: int) -> str:
    if not table.present[row]:
        return "tensor_missing"
    if not table.shape_ok[row]:
        return "shape_mismatch"
    if not table.finite[row]:
        return "non_finite"
    delta = float(table.delta_norm[row])
    if delta == 0:
        return "passthrough_changed"
    recovered, residual = float(table.recovered[row]), float(table.residual_norm[row]) / delta
    if not table.changed[row]:
        return "delta_missing"
    beside = max(residual**2 - (1 - recovered) ** 2, 0.0) ** 0.5
    if beside > SAME_DIRECTION * max(abs(recovered), SAME_DIRECTION) or beside > abs(1 - recovered):
        return "delta_wrong_values"
    if abs(recovered) < SAME_DIRECTION:
        return "delta_missing"
    if abs(recovered + 1) < SAME_DIRECTION:
        return "delta_wrong_sign"
    if abs(recovered - 2) < SAME_DIRECTION:
        return "delta_applied_twice"
    return "delta_wrong_scale"


def _contradictions(observed: Observed) -> list[Finding]:
    """Of tensors those that are alike together; each file by itself."""
    config, roles = effective_config(observed.family, observed.case), _roles(observed)
    groups: dict[tuple[str, str], list[Contradiction]] = defaultdict(list)
    for each in observed.answer.contradictions:
        groups[each.kind, _pattern(each.tensor) or each.file].append(each)
    found = []
    for (kind, _), members in sorted(groups.items()):
        covered = [name for each in members for name in canonical_names(observed.family, config, each.tensor)]
        place = _place(covered, roles)
        found.append(
            Finding(
                kind=kind,
                message=members[0].message,
                where=replace(place, tensor=members[0].tensor),
                expected=members[0].file,
                num_alike=len(members),
            )
        )
    return found


def _dtypes(observed: Observed, table: WeightTable) -> list[Finding]:
    kind = "dtype_changed"
    found = []
    rows = {str(name): row for row, name in enumerate(table.name)}
    for members in _alike(observed, [str(name) for name in table.name[dtypes.changed(table)]]):
        was, stored = (str(column[rows[members[0]]]) for column in (table.base_dtype, table.stored_dtype))
        finding = _of_tensors(observed, kind, members, f"stored as {stored}, and {was} in base")
        found.append(replace(finding, expected=was, got=stored))
    return found


def _at_first_stage(observed: Observed, checks: Sequence[Check], text: str) -> Finding:
    """That logits differ, and where in the forward pass it begins, if any stage of it is beyond its own gate."""
    bound = next((check.tolerance for check in checks if check.metric == layers.NAME), None)
    first = None if bound is None else layers.first_beyond(observed, bound)
    if first is None:
        return Finding(kind="logits_differ", message=text)
    return Finding(
        kind="logits_differ",
        message=f"{text}; first at {first}",
        where=Location(layer=first.layer),
        expected=f"every stage within {bound:.3g}",
        got=str(first),
    )


def _group(table: WeightTable, roles: dict[str, CanonicalTensor], kind: str, role: str, rows: list[int]) -> Finding:
    ratio = table.residual_norm / np.where(table.delta_norm > 0, table.delta_norm, 1.0)
    worst = max(rows, key=lambda row: float(ratio[row]))
    places = [roles.get(str(table.name[row])) for row in rows]
    layers = {place.layer for place in places if place is not None}
    experts = {place.expert for place in places if place is not None}
    alike = f"{len(rows)} tensors" if len(rows) > 1 else "1 tensor"
    text = f"{alike} of {role}: {kind} (layers {_listed(layers)}, experts {_listed(experts)})"
    return Finding(
        kind=kind,
        message=text,
        # A layer or an expert is named only where it is the only one: otherwise the message lists them.
        where=Location(
            tensor=str(table.name[worst]),
            layer=next(iter(layers)) if len(layers) == 1 else None,
            expert=next(iter(experts)) if len(experts) == 1 else None,
        ),
        expected="recovered 1.0000, residual 0" if table.delta_norm[worst] > 0 else "equal to base",
        got=f"recovered {table.recovered[worst]:.4f}, residual {ratio[worst]:.3g}",
        num_alike=len(rows),
    )


def _listed(numbers: set[int | None]) -> str:
    known = sorted(number for number in numbers if number is not None)
    if not known:
        return "none"
    if len(known) > 3 and known == list(range(known[0], known[-1] + 1)):
        return f"{known[0]} to {known[-1]}"
    return ", ".join(map(str, known[:12])) + (f" and {len(known) - 12} more" if len(known) > 12 else "")


def _coverage(observed: Observed) -> list[Finding]:
    roles = _roles(observed)
    asked = coverage.owed(observed)
    found = []
    for kind, names in (("coverage_lost", coverage.lost(observed)), ("coverage_extra", coverage.extra(observed))):
        groups: dict[str, list[str]] = defaultdict(list)
        for name in sorted(names):
            groups[roles[name].role if name in roles else _pattern(name)].append(name)
        for role, members in sorted(groups.items()):
            verb = "asked for and not adapted" if kind == "coverage_lost" else "adapted without being asked for"
            total = sum(1 for name in asked if name in roles and roles[name].role == role)
            text = f"{len(members)} of {total} tensors of {role} are {verb}"
            found.append(Finding(kind=kind, message=text, where=_place(members, roles), num_alike=len(members)))
    return found


def _training(observed: Observed, failed: dict[str, Check]) -> list[Finding]:
    """What training did otherwise than it was asked to."""
    found = []
    if "first_loss_error" in failed:
        text = "the first loss is not the cross-entropy of the base model: " + failed["first_loss_error"].message
        found.append(Finding(kind="loss_wrong", message=text))
    if "steps_lost" in failed:
        expected, got = f"{observed.case.steps} steps", f"{len(observed.answer.losses)} losses"
        text = "training took another number of steps than the case asks for"
        found.append(Finding(kind="steps_lost", message=text, expected=expected, got=got))
    if "delta_untrained" in failed:
        kind = "delta_untrained"
        for members in _alike(observed, untrained.untrained(observed)):
            found.append(_of_tensors(observed, kind, members, "adapted and reached, and never trained"))
    if "initial_scale_error" in failed:
        kind = "initialisation_wrong"
        bound = failed["initial_scale_error"].tolerance or 0.0
        names = {name for name, error in initial.errors(observed).items() if error > bound}
        for members in _alike(observed, names):
            found.append(_of_tensors(observed, kind, members, "begun with another spread than PEFT's"))
    if "kept_in_training" in failed:
        text = "the forward pass of training returns keys and values: " + failed["kept_in_training"].message
        found.append(Finding(kind="cache_kept", message=text))
    return found


def _running(failed: dict[str, Check]) -> list[Finding]:
    """What a model does that is not in its weights, and would be alike in trained and reloaded."""
    found = []
    if "decoding_error" in failed:
        text = "generation does not compute what one pass does: " + failed["decoding_error"].message
        found.append(Finding(kind="decoding_differs", message=text))
    if "logits_unrepeated" in failed:
        text = "two passes over the same tokens differ: " + failed["logits_unrepeated"].message
        found.append(Finding(kind="evaluation_random", message=text))
    if "samples_repeated" in failed:
        text = "samples drawn under one seed are one sample: " + failed["samples_repeated"].message
        found.append(Finding(kind="samples_repeated", message=text))
    return found


def _alike(observed: Observed, names: Collection[str]) -> list[list[str]]:
    """Groups of one role, or of one pattern where names are not canonical."""
    roles = _roles(observed)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        groups[roles[name].role if name in roles else _pattern(name)].append(name)
    return [members for _, members in sorted(groups.items())]


def _of_tensors(observed: Observed, kind: str, members: list[str], what: str) -> Finding:
    """One finding of tensors that are alike; a layer or an expert is named where it is the only one."""
    places = [place for name in members if (place := _roles(observed).get(name)) is not None]
    layers, experts = ({getattr(place, axis) for place in places} for axis in ("layer", "expert"))
    return Finding(
        kind=kind,
        message=f"{len(members)} tensors like {members[0]} are {what}",
        where=Location(
            tensor=members[0],
            layer=next(iter(layers)) if len(layers) == 1 else None,
            expert=next(iter(experts)) if len(experts) == 1 else None,
        ),
        num_alike=len(members),
    )


def _field_kind(name: str) -> str:
    if name.startswith("generation_config."):
        return "generation_config_changed"
    return "tokenizer_changed" if name == "tokenizer" else "config_changed"


def _file_kind(path: str) -> str:
    if path.endswith("generation_config.json"):
        return "generation_config_missing"
    return "tokenizer_changed" if "tokenizer" in path else "file_missing"


def _symptoms(observed: Observed, checks: Sequence[Check], failed: dict[str, Check]) -> list[Finding]:
    found = []
    if "logits_not_finite" in failed:
        found.append(
            Finding(kind="logits_not_finite", message="logits are not numbers: " + failed["logits_not_finite"].message)
        )
    logits = [check for metric, check in failed.items() if metric.startswith("kl_") or metric == layers.NAME]
    if logits:
        text = "the reloaded model does not compute what the trained model did: " + logits[0].message
        found.append(_at_first_stage(observed, checks, text))
    if "samples_equal" in failed:
        found.append(
            Finding(kind="samples_differ", message="greedy samples differ: " + failed["samples_equal"].message)
        )
    for check in checks:
        if check.verdict == "INCONCLUSIVE":
            kind = "no_signal" if check.metric.startswith("kl_base_trained") else "not_measured"
            found.append(Finding(kind=kind, message=f"{check.metric}: {check.message}"))
    return found
