"""Inventory: the files that a saved form must hold, and the configuration fields that must come back."""

from __future__ import annotations

from harness.checkpoints.dialects import dialects_of
from harness.metrics.observed import MERGED, Observed, adapter_folder
from harness.records.results import Measured, Measurement, Missing

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
MERGED_FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")


def owed_files(observed: Observed) -> tuple[str, ...]:
    """The files that the write must leave behind: those of the adapter in each of its dialects, and of the merge."""
    dialects = dialects_of(observed.case, observed.family, observed.answer.stack)
    adapters = [f"{adapter_folder(dialect)}/{name}" for dialect in dialects for name in ADAPTER_FILES]
    return (*adapters, *(f"{MERGED}/{name}" for name in MERGED_FILES))


def missing_files(observed: Observed) -> tuple[str, ...]:
    """Owed files that the write did not leave behind."""
    return tuple(path for path in owed_files(observed) if path not in observed.files)


def changed_fields(observed: Observed) -> tuple[tuple[str, str, str], ...]:
    """(field, expected, got) of configuration fields that the loaded model holds with another value."""
    return tuple(
        (field.name, field.expected, field.got) for field in observed.answer.fields if field.expected != field.got
    )


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """Files missing (writes), keys that the loader could not place, and fields that changed."""
    answer = observed.answer
    found: list[Measurement] = []
    if observed.form == "":
        found.append(
            Measured(
                metric="files_missing",
                value=float(len(missing_files(observed))),
                unit="files",
                num_compared=len(owed_files(observed)),
            )
        )
    if not answer.fields:
        reason = "no model was loaded"
        return (*found, *(Missing(metric=name, reason=reason) for name in ("config_changed", "keys_unplaced")))
    found.append(
        Measured(
            metric="config_changed",
            value=float(len(changed_fields(observed))),
            unit="fields",
            num_compared=len(answer.fields),
        )
    )
    loading = answer.loading
    unplaced = len(loading.missing) + len(loading.unexpected) + len(loading.mismatched)
    compared = 0 if observed.weights is None else len(observed.weights.name)
    found.append(
        Measured(metric="keys_unplaced", value=float(unplaced), unit="keys", num_compared=compared)
        if compared
        else Missing(metric="keys_unplaced", reason="the weights were not compared")
    )
    return tuple(found)
