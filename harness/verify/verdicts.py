"""From findings to the verdict: which kind leads where, and what outweighs what (DESIGN section 5). Reads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.verify.records import Finding, Severity
from harness.verify.report import ExpertCounts, SiteSeen, TensorCounts, Verdict

VERDICTS: dict[str, Verdict] = {
    **dict.fromkeys(
        (
            "delta_wrong_values", "delta_wrong_scale", "delta_wrong_sign", "delta_applied_twice", "experts_permuted",
            "gate_up_swapped", "passthrough_changed", "delta_unexplained", "non_finite", "shape_mismatch",
            "tensor_duplicated",
        ),
        Verdict.WRONG_VALUES,
    ),
    **dict.fromkeys(("delta_wrong_packing", "delta_wrong_layout"), Verdict.WRONG_LAYOUT),
    **dict.fromkeys(
        ("delta_missing", "modules_to_save_lost", "adapter_key_unmatched", "adapter_incomplete"), Verdict.PARTIAL
    ),
    "lost_to_rounding": Verdict.LOST_TO_ROUNDING,
    **dict.fromkeys(
        (
            "tensor_missing", "tensor_unexpected", "dtype_changed", "tied_weights_broken", "config_mismatch",
            "generation_config_missing", "generation_config_changed", "tokenizer_changed", "index_mismatch",
        ),
        Verdict.INCOMPLETE,
    ),
    **dict.fromkeys(
        ("ambiguous_layout", "quantised_weights", "family_unknown", "adapter_unsupported", "b_all_zero"),
        Verdict.INCONCLUSIVE,
    ),
}  # fmt: skip
"""What an error of each kind leads to."""
GRAVITY = (
    Verdict.WRONG_VALUES,
    Verdict.WRONG_LAYOUT,
    Verdict.BASE_UNCHANGED,
    Verdict.PARTIAL,
    Verdict.LOST_TO_ROUNDING,
    Verdict.INCOMPLETE,
    Verdict.INCONCLUSIVE,
)
"""Gravest first."""
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
ABSENT = "tensor_missing"


def verdict_of(
    findings: Iterable[Finding], sites: Sequence[SiteSeen], adapted: frozenset[str], otherwise: Verdict
) -> Verdict:
    """The gravest that the errors lead to, `otherwise` if there is none. `adapted` are the stored names of targets."""
    led = {_led(finding, adapted) for finding in findings if finding.severity == "error"}
    if Verdict.PARTIAL in led and is_unchanged(sites):
        led = led - {Verdict.PARTIAL} | {Verdict.BASE_UNCHANGED}
    return next((verdict for verdict in GRAVITY if verdict in led), otherwise)


def is_unchanged(sites: Sequence[SiteSeen]) -> bool:
    """Whether none of the adapted weights that should have changed did."""
    states = {site.state for site in sites} - {"zero", "lost", "untold"}
    return states == {"missing"}


def in_order(findings: Iterable[Finding], adapted: frozenset[str]) -> tuple[Finding, ...]:
    """Errors first, and of them the gravest; otherwise as they were found."""

    def rank(finding: Finding) -> tuple[int, int]:
        return SEVERITIES.index(finding.severity), GRAVITY.index(_led(finding, adapted))

    return tuple(sorted(findings, key=rank))


def count_tensors(sites: Sequence[SiteSeen]) -> TensorCounts:
    """Weights by what became of them."""
    states = [site.state for site in sites]
    return TensorCounts(
        targeted=len(states),
        matched=sum(state in ("applied", "lost", "zero") for state in states),
        unchanged=states.count("missing"),
        wrong=states.count("wrong"),
    )


def count_experts(sites: Sequence[SiteSeen]) -> ExpertCounts:
    """Expert projections with a delta, and those whose files show it."""
    states = [site.state for site in sites if site.expert is not None and site.state != "zero"]
    applied = sum(state in ("applied", "lost") for state in states)
    return ExpertCounts(attempted=len(states), applied=applied, fallback=len(states) - applied)


def _led(finding: Finding, adapted: frozenset[str]) -> Verdict:
    if finding.kind == ABSENT and finding.tensor in adapted:
        return Verdict.PARTIAL
    return VERDICTS.get(finding.kind, Verdict.INCONCLUSIVE)
