"""One metric family a file: `measure(observed) -> measurements`. numpy only; the folder's listing is the registry.

A metric that cannot be made gives `Missing` with the reason; a metric that does not apply (routing of a dense model)
gives nothing. Metrics judge nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from harness.metrics.observed import Observed
from harness.records.results import Measurement

NOT_METRICS = {"observed", "weight_table", "npz"}


def registry() -> dict[str, Callable[[Observed], tuple[Measurement, ...]]]:
    """Every metric file's `measure`, by file name, in order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in NOT_METRICS)
    return {name: importlib.import_module(f"{__name__}.{name}").measure for name in names}


def measure_all(observed: Observed) -> tuple[Measurement, ...]:
    """Every measurement that every metric makes of one write or one route."""
    return tuple(measurement for measure in registry().values() for measurement in measure(observed))
