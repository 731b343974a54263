"""Builders of hand-made verifications: a model of experts and attention, and what can become of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from harness.verify.families import Part
from harness.verify.records import Finding
from harness.verify.report import (
    ExpertCounts,
    FilesSeen,
    LayoutSeen,
    PassthroughCounts,
    SiteSeen,
    TensorCounts,
    Timing,
    Verdict,
    VerifyReport,
)

PARTS: tuple[Part, ...] = ("gate", "up", "down")
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj")
ELEMENTS = 384 * 1024
HOSTILE = "model.<script>alert(1)</script>.\x1b[31m\u202egnp.\"'><img src=x>.[red]x[/red]{{ 7*7 }}\ud800\x07.weight"
"""A tensor's name that a stranger chose."""

Change = Callable[[SiteSeen], SiteSeen]


def site(name: str, *, layer: int | None, expert: int | None = None, part: Part | None = None) -> SiteSeen:
    """An adapted weight as it should be."""
    jitter = (hash_of(name) % 1000 - 500) / 1e7
    return SiteSeen(
        name=name,
        layer=layer,
        expert=expert,
        part=part,
        state="applied",
        recovered=1 + jitter,
        residual=2e-3 + abs(jitter),
        num_elements=ELEMENTS,
        num_wrong=0,
    )


def hash_of(name: str) -> int:
    """A number that the name decides, and the process does not."""
    return sum((index + 1) * ord(character) for index, character in enumerate(name)) * 2654435761 % 2**32


def sites(num_layers: int = 3, num_experts: int = 8) -> tuple[SiteSeen, ...]:
    """Attention and experts of all layers, and a head."""
    found = [site("lm_head.weight", layer=None)]
    for layer in range(num_layers):
        found += [site(f"model.layers.{layer}.self_attn.{name}.weight", layer=layer) for name in MODULES]
        for expert in range(num_experts):
            found += [
                site(
                    f"model.layers.{layer}.mlp.experts.{expert}.{part}_proj.weight",
                    layer=layer,
                    expert=expert,
                    part=part,
                )
                for part in PARTS
            ]
    return tuple(found)


def missing(seen: SiteSeen) -> SiteSeen:
    """Base's."""
    return replace(seen, state="missing", recovered=0.0, residual=1.0, num_wrong=seen.num_elements)


def wrong(seen: SiteSeen) -> SiteSeen:
    """Another's delta."""
    part = (hash_of(seen.name) % 1000 - 500) / 5000
    return replace(seen, state="wrong", recovered=part, residual=1.41 + part / 10, num_wrong=seen.num_elements - 77)


def changed(seen: Iterable[SiteSeen], change: Change, where: Callable[[SiteSeen], bool]) -> tuple[SiteSeen, ...]:
    """`seen`, with `change` where `where` says so."""
    return tuple(change(each) if where(each) else each for each in seen)


def finding_of(seen: SiteSeen, kind: str, message: str, *, expected: str = "", got: str = "") -> Finding:
    """The error that a site is."""
    return Finding(
        kind=kind,
        severity="error",
        message=message,
        tensor=seen.name,
        layer=seen.layer,
        expert=seen.expert,
        expected=expected,
        got=got,
    )


def files(name: str, num_tensors: int = 400) -> FilesSeen:
    """A directory in two shards."""
    shards = tuple(f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
    return FilesSeen(directory=Path(name), files=shards, num_tensors=num_tensors, size_bytes=3_865_470_566)


def report(
    verdict: Verdict = Verdict.CONTAINS,
    seen: tuple[SiteSeen, ...] | None = None,
    findings: Iterable[Finding] = (),
    *,
    merged: bool = True,
) -> VerifyReport:
    """A report whose counts are those of what was seen."""
    seen = sites() if seen is None else seen
    experts = [each for each in seen if each.expert is not None]
    good = {"applied", "lost", "zero"}
    return VerifyReport(
        verdict=verdict,
        exit_code=int(verdict.exit_code),
        findings=tuple(findings),
        tensors=TensorCounts(
            targeted=len(seen),
            matched=sum(each.state in good for each in seen),
            unchanged=sum(each.state == "missing" for each in seen),
            wrong=sum(each.state == "wrong" for each in seen),
        ),
        experts=ExpertCounts(
            attempted=len(experts),
            applied=sum(each.state in good for each in experts),
            fallback=sum(each.state not in good for each in experts),
        ),
        passthrough=PassthroughCounts(compared=27, identical=27),
        layout=LayoutSeen(fused="standard", packing="rank_major", ambiguous=False),
        base=files("/models/base"),
        adapter=files("/models/adapter"),
        merged=files("/models/merged") if merged else None,
        timing=Timing(duration_s=2.31, read_bytes=8_321_499_136),
        family="qwen3_moe",
        sites=seen,
    )


def clean() -> VerifyReport:
    """All is well."""
    return report()


def one_lost_expert(num_layers: int = 3, num_experts: int = 8) -> VerifyReport:
    """Expert 5 of layer 1 is base's."""
    seen = changed(sites(num_layers, num_experts), missing, lambda each: (each.layer, each.expert) == (1, 5))
    lost = [each for each in seen if each.state == "missing"]
    said = [finding_of(each, "delta_missing", "holds base's values: the delta is not there") for each in lost]
    return report(Verdict.PARTIAL, seen, said)


def one_wrong_layer(num_layers: int = 3, num_experts: int = 8) -> VerifyReport:
    """Every adapted weight of layer 2 is something else."""
    seen = changed(sites(num_layers, num_experts), wrong, lambda each: each.layer == 2)
    said = [
        finding_of(
            each,
            "delta_wrong_values",
            f"holds neither base's values nor base's with the delta: {each.recovered:.3f} of the delta is there",
            expected=f"residual 0, {each.num_elements} elements as predicted",
            got=f"residual {each.residual:.2f}, {each.num_wrong} other elements",
        )
        for each in seen
        if each.state == "wrong"
    ]
    return report(Verdict.WRONG_VALUES, seen, said)


def wrong_packing(num_layers: int = 3, num_experts: int = 8) -> VerifyReport:
    """Every expert has the delta of another packing."""
    seen = changed(sites(num_layers, num_experts), wrong, lambda each: each.expert is not None)
    said = [
        finding_of(
            each,
            "delta_wrong_packing",
            "holds the delta as it is when lora_B is read grouped by expert",
            expected="rank_major",
            got="grouped_by_expert",
        )
        for each in seen
        if each.state == "wrong"
    ]
    return report(Verdict.WRONG_LAYOUT, seen, said)


def adapter_alone(num_layers: int = 3, num_experts: int = 8) -> VerifyReport:
    """No merged checkpoint was given; expert 3 of layer 0 was never trained."""
    untrained = changed(sites(num_layers, num_experts), untold, lambda _each: True)
    seen = changed(untrained, zero, lambda each: (each.layer, each.expert) == (0, 3))
    built = report(Verdict.FITS, seen, merged=False)
    return replace(built, passthrough=PassthroughCounts(compared=0, identical=0))


def untold(seen: SiteSeen) -> SiteSeen:
    """Not compared with anything."""
    return replace(seen, state="untold", recovered=None, residual=None)


def zero(seen: SiteSeen) -> SiteSeen:
    """With a lora_B of zeros."""
    return replace(seen, state="zero", recovered=None, residual=None)


def hostile() -> VerifyReport:
    """Names and messages of a stranger, everywhere that a text can come from."""
    bad = replace(site(HOSTILE, layer=0), state="wrong", recovered=0.3, residual=1.0, num_wrong=1)
    said = Finding(
        kind="delta_wrong_values", severity="error", message=HOSTILE, tensor=HOSTILE, expected=HOSTILE, got=HOSTILE
    )
    built = report(Verdict.WRONG_VALUES, (*sites(), bad, replace(bad, name=f"{HOSTILE}2", layer=None)), [said])
    seen = replace(built.base, directory=Path(HOSTILE), files=(HOSTILE,))
    return replace(built, base=seen, adapter=seen, merged=seen, family=HOSTILE)
