"""Coverage: what the user asked to adapt against what the stack adapted. A round trip cannot see what was never trained."""

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


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """Tensors owed and not adapted, and adapted without being asked for. Writes only."""
    if observed.form != "":
        return ()
    if observed.answer.crash is not None and not observed.answer.adapted:
        reason = "nothing was adapted: the write crashed"
        return tuple(Missing(metric=name, reason=reason) for name in ("coverage_lost", "coverage_extra"))
    asked, adapted = owed(observed), frozenset(observed.answer.adapted)
    if observed.case.adapter.recipe == "all_linear":
        adapted &= asked  # whoever asks for all Linears gets more than the case names, routers included
    saved = set(observed.case.adapter.modules_to_save)
    extra = {name for name in adapted - asked if not any(part in saved for part in name.split("."))}
    return (
        Measured(
            metric="coverage_lost", value=float(len(asked - adapted)), unit="tensors", num_compared=len(asked)
        ),
        Measured(metric="coverage_extra", value=float(len(extra)), unit="tensors", num_compared=len(adapted)),
    )
