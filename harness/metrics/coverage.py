"""Coverage: what the user asked to adapt against what the stack adapted. No round trip sees what was never trained."""

from __future__ import annotations

from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import module_table, roles_of
from harness.metrics.observed import Observed
from harness.records.results import Measured, Measurement, Missing


def owed(observed: Observed) -> frozenset[str]:
    """Canonical names of every tensor that the case asks to adapt."""
    roles = roles_of(observed.family, observed.case.adapter.adapt)
    config = effective_config(observed.family, observed.case)
    return frozenset(name for name, tensor in module_table(observed.family, config).items() if tensor.role in roles)


def lost(observed: Observed) -> frozenset[str]:
    """What is owed and was not adapted."""
    return owed(observed) - frozenset(observed.answer.adapted)


def extra(observed: Observed) -> frozenset[str]:
    """What was adapted without being asked for."""
    if observed.case.adapter.recipe == "all_linear":
        return frozenset()  # whoever asks for all Linears gets more than the case names, routers included
    saved = set(observed.case.adapter.modules_to_save)
    unasked = frozenset(observed.answer.adapted) - owed(observed)
    return frozenset(name for name in unasked if not any(part in saved for part in name.split(".")))


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """Tensors owed and not adapted, and adapted without being asked for. Writes only."""
    if observed.form != "":
        return ()
    if observed.answer.crash is not None and not observed.answer.adapted:
        reason = "nothing was adapted: the write crashed"
        return tuple(Missing(metric=name, reason=reason) for name in ("coverage_lost", "coverage_extra"))
    num_owed, num_adapted = len(owed(observed)), len(observed.answer.adapted)
    num_lost, num_extra = float(len(lost(observed))), float(len(extra(observed)))
    return (
        Measured(metric="coverage_lost", value=num_lost, unit="tensors", num_compared=num_owed),
        Measured(metric="coverage_extra", value=num_extra, unit="tensors", num_compared=num_adapted),
    )
