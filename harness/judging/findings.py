"""Names what is wrong: from failed checks to findings (kind, layer, tensor, expert) and to one cause signature.

Judges nothing: it runs only when the verdict is not PASS. A cause signature is stable text, without numbers that
change from run to run, because known outcomes are declared by it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import canonical_names
from harness.judging import weight_findings
from harness.judging.grouping import Roles, alike, finding_of, pattern, place, role_of, roles_of
from harness.metrics import contradictions, coverage, dtypes, initial, inventory, layers, untrained
from harness.metrics.observed import Observed
from harness.records.jobs import Contradiction
from harness.records.results import Check, Finding, Location

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
        findings += _keys(observed, roles_of(observed))
    if contradictions.NAME in failed:
        findings += _contradictions(observed)
    if observed.weights is not None:
        residual = next((check for check in checks if check.metric == "weight_residual_max"), None)
        tolerance = 0.0 if residual is None or residual.tolerance is None else residual.tolerance
        findings += weight_findings.of_values(observed, observed.weights, tolerance)
        if dtypes.NAME in failed:
            findings += weight_findings.of_dtypes(observed, observed.weights)
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


def cause_of(observed: Observed, findings: Sequence[Finding]) -> str:
    """The signature: kinds with what they touch, sorted, symptoms left out where there is a cause."""
    parts: dict[str, set[str]] = defaultdict(set)
    roles = roles_of(observed)
    for finding in findings:
        parts[finding.kind].add(finding.got if finding.kind == "crashed" else role_of(finding.where.tensor, roles))
    causes = {kind: subjects for kind, subjects in parts.items() if kind not in SYMPTOMS} or parts
    return "; ".join(f"{kind} {','.join(sorted(subjects))}".strip() for kind, subjects in sorted(causes.items()))


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


def _keys(observed: Observed, roles: Roles) -> list[Finding]:
    found = []
    loading = observed.answer.loading
    for kind, names in (
        ("keys_missing", loading.missing),
        ("keys_unexpected", loading.unexpected),
        ("keys_mismatched", loading.mismatched),
    ):
        groups: dict[str, list[str]] = defaultdict(list)
        for name in names:
            groups[pattern(name)].append(name)
        for keys, members in sorted(groups.items()):
            text = f"{len(members)} keys like {keys} were reported {kind.removeprefix('keys_')} by the loader"
            found.append(Finding(kind=kind, message=text, where=place(members, roles), num_alike=len(members)))
    return found


def _contradictions(observed: Observed) -> list[Finding]:
    """Of tensors those that are alike together; each file by itself."""
    config, roles = effective_config(observed.family, observed.case), roles_of(observed)
    groups: dict[tuple[str, str], list[Contradiction]] = defaultdict(list)
    for each in observed.answer.contradictions:
        groups[each.kind, pattern(each.tensor) or each.file].append(each)
    found = []
    for (kind, _), members in sorted(groups.items()):
        covered = [name for each in members for name in canonical_names(observed.family, config, each.tensor)]
        found.append(
            Finding(
                kind=kind,
                message=members[0].message,
                where=replace(place(covered, roles), tensor=members[0].tensor),
                expected=members[0].file,
                num_alike=len(members),
            )
        )
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


def _coverage(observed: Observed) -> list[Finding]:
    roles = roles_of(observed)
    asked = alike(coverage.owed(observed), roles)
    found = []
    for role, members in alike(coverage.lost(observed), roles).items():
        text = f"{len(members)} of {len(asked[role])} tensors of {role} are asked for and not adapted"
        found.append(Finding(kind="coverage_lost", message=text, where=place(members, roles), num_alike=len(members)))
    for members in alike(coverage.extra(observed), roles).values():
        found.append(finding_of("coverage_extra", members, "adapted without being asked for", roles))
    return found


def _training(observed: Observed, failed: dict[str, Check]) -> list[Finding]:
    """What training did otherwise than it was asked to."""
    roles = roles_of(observed)
    found = []
    if "first_loss_error" in failed:
        text = "the first loss is not the cross-entropy of the base model: " + failed["first_loss_error"].message
        found.append(Finding(kind="loss_wrong", message=text))
    if "steps_lost" in failed:
        expected, got = f"{observed.case.steps} steps", f"{len(observed.answer.losses)} losses"
        text = "training took another number of steps than the case asks for"
        found.append(Finding(kind="steps_lost", message=text, expected=expected, got=got))
    if "delta_untrained" in failed:
        for members in alike(untrained.untrained(observed), roles).values():
            found.append(finding_of("delta_untrained", members, "adapted and reached, and never trained", roles))
    if "initial_scale_error" in failed:
        bound = failed["initial_scale_error"].tolerance or 0.0
        names = {name for name, error in initial.errors(observed).items() if error > bound}
        for members in alike(names, roles).values():
            found.append(finding_of("initialisation_wrong", members, "begun with another spread than PEFT's", roles))
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
