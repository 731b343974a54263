"""What is said of an adapter as a whole: how much of it survived, whether there is any of it, what cannot be told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from harness.verify.factors import Reading
from harness.verify.records import Finding
from harness.verify.report import SiteSeen
from harness.verify.survey import SiteEvidence

LOST = 0.5
"""Of the delta, by projection, over all adapted weights: less is LOST_TO_ROUNDING."""
WORN = 0.9
"""And less than this is a warning."""
ALL = "all of it"


def survival(sites: Iterable[SiteEvidence], seen: Sequence[SiteSeen]) -> Iterator[Finding]:
    """How much of what was merged rightly the stored dtype kept, by projection."""
    kept = total = 0.0
    num_lost = 0
    for each, site in zip(sites, seen, strict=False):
        if each.evidence is not None and site.state in ("applied", "lost"):
            kept += each.evidence.delta_times_change
            total += each.evidence.delta_squared
            num_lost += site.state == "lost"
    if not total > 0 or not np.isfinite(kept):
        return
    share = kept / total
    if share < WORN:
        yield Finding(
            kind="lost_to_rounding",
            severity="error" if share < LOST else "warning",
            message="the delta is smaller than what the stored dtype can tell from base, and was rounded away",
            expected=ALL,
            got=f"{share:.0%} of it, by projection; nothing in {num_lost} weights",
        )
    elif num_lost:
        text = f"{num_lost} weights hold nothing of their delta, which rounds to base"
        yield Finding(kind="lost_to_rounding", severity="note", message=text, got=f"{share:.0%} of all of it is there")


def powerless(sites: Sequence[SiteSeen]) -> Iterator[Finding]:
    """Nothing was to be seen, or not everywhere."""
    num_zero = sum(site.state == "zero" for site in sites)
    if num_zero == len(sites):
        text = "no weight is changed by this adapter: every lora_B is zero" if sites else "nothing could be compared"
        yield Finding(kind="b_all_zero", severity="error", message=text)
    elif num_zero:
        text = f"{num_zero} of {len(sites)} weights have a delta of zero, as experts have that no token reached"
        yield Finding(kind="b_all_zero", severity="note", message=text)


def ambiguous(sites: Iterable[SiteEvidence]) -> Iterator[Finding]:
    """Factors whose layout only the merged checkpoint tells: whether it is the one that was trained, nothing does."""
    told: set[int] = set()
    for each in sites:
        is_open = len(each.job.readings) > 1 and not each.is_zero
        if is_open and each.evidence is not None and each.evidence.explains and id(each.job) not in told:
            told.add(id(each.job))
            yield ambiguity(each.job.pair.a.name, each.site.layer, each.job.readings, each.reading)


def ambiguity(tensor: str, layer: int | None, readings: Sequence[Reading], used: Reading | None) -> Finding:
    """Factors that can be read in two ways, and nothing says in which they were trained."""
    is_layout = len({reading.layout for reading in readings}) > 1
    if is_layout:
        why = "the factors fit as they are and transposed, and no version of PEFT in the configuration decides"
    else:
        why = "Unsloth trained them without saying how it packed lora_B, which changed with its releases"
    return Finding(
        kind="ambiguous_layout",
        severity="error",
        message=why,
        tensor=tensor,
        layer=layer,
        expected="peft_version" if is_layout else "lora_B_layout in adapter_config.json",
        got="nothing is merged" if used is None else f"merged as {used.layout}, {used.packing}",
    )
