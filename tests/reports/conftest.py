"""Builders of sample reports: green, failing, huge, hostile. Shaped like real runs."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from harness.history.standing import label
from harness.records.cases import saved_as
from harness.records.faults import KillSummary
from harness.records.results import (
    SCHEMA_VERSION,
    CellReport,
    Check,
    Finding,
    FullCountRow,
    Host,
    Judgement,
    LastGood,
    Location,
    Measured,
    Missing,
    PackageDelta,
    Report,
    Result,
)

ROWS = {
    "r1": ("5.5.0", "0.19.1", "0.25.1"),
    "r2": ("5.5.0", "0.18.1", "0.25.1"),
    "r3": ("4.57.6", "0.19.1", "0.25.1"),
    "r4": ("5.5.0", "0.19.1", "1.4.0"),
    "newest": ("5.23.0", "0.21.2", "1.16.0"),
}
WHY = {
    "r1": "the row of the report that started this",
    "r2": "PEFT before it swapped in and out features of 3D parameters",
    "r3": "the last transformers with per-expert Linears",
    "r4": "TRL after 1.0",
    "newest": "whatever was published by the cut-off",
}
CASES = {
    "qwen3-float32-loop": "qwen3",
    "qwen3_moe-float32-loop": "qwen3_moe",
    "qwen3_moe-float32-trl": "qwen3_moe",
    "qwen3_moe-bfloat16-loop": "qwen3_moe",
    "llama-float32-loop": "llama",
    "glm4_moe-float32-loop": "glm4_moe",
    "glm4_moe-bfloat16-loop": "glm4_moe",
    "deepseek_v3-float32-loop": "deepseek_v3",
    "deepseek_v3-bfloat16-loop": "deepseek_v3",
    "qwen3_5_moe-float32-loop": "qwen3_5_moe",
}
VARIANTS = ("tied", "tied_lm_head", "sharded", "rslora", "patterns", "equal_dims", "modules_to_save", "fused_on_disk")
HOSTILE = (
    "<script>alert(1)</script>]]>&amp;\x00\x1b[31m\x07\ud800 | `tick` ``` **bold** [x](javascript:alert(1)) @all "
    "<!-- --> \"quotes\" 'single' {{ 7*7 }} {% raw %}\r\n# heading\n- list\n</details></pre></table>\u202egnp.exe "
)


def jitter(text: str) -> float:
    """A number between 1 and 2 that `text` decides: samples look measured, and never change."""
    return 1 + zlib.crc32(text.encode("utf-8", "replace")) / 2**32


def make_cell(name: str, *, error: str = "") -> CellReport:
    """A cell of the matrix, built unless `error` says why not."""
    transformers, peft, trl = ROWS[name]
    versions = {"transformers": transformers, "peft": peft, "trl": trl, "torch": "2.13.0+cpu", "numpy": "2.3.1"}
    versions |= {"tokenizers": "0.22.1" if name == "r3" else "0.23.0", "safetensors": "0.7.0", "accelerate": "1.12.0"}
    versions |= {"huggingface-hub": "0.36.0" if name == "r3" else "1.4.2", "datasets": "4.4.0", "pytest": "9.0.1"}
    return CellReport(
        name=name,
        why=WHY[name],
        requirements={"transformers": transformers, "peft": peft, "trl": trl},
        versions={} if error else versions,
        lock_digest="" if error else f"{zlib.crc32(name.encode()):08x}" * 8,
        lock_path="" if error else f"cells/{name}.lock",
        python="3.12.11",
        error=error,
        newest=name == "newest",
    )


def make_result(
    *,
    case: str = "qwen3_moe-float32-loop",
    writer: str = "r1",
    reader: str = "r1",
    form: str = "merged",
    dialect: str = "",
    **changes: Any,
) -> Result:
    """A clean result; `form` "" makes it a write. `changes` replace fields."""
    kind = "read" if form else "write"
    identity = f"{case}@{writer}>{saved_as(form, dialect)}>{reader}" if form else f"{case}@{writer}"
    family, dtype, trainer = case.split("+")[0].rsplit("-", 2)
    coarse = dtype == "bfloat16"
    ratio = (3e-3 if coarse else 5e-8) * jitter(identity)
    kl = (1.5e-3 if coarse else 2.3e-13) * jitter(identity + "kl")
    moe = "moe" in family or "deepseek" in family
    checks = [
        Check(
            name="delta per tensor",
            verdict="PASS",
            metric="delta_error_ratio_max",
            value=ratio,
            tolerance=3e-2 if coarse else 1e-5,
            relation="at_most",
            carries=True,
            message="the delta on disk is the delta that was trained",
            num_compared=62 if moe else 14,
        ),
        Check(
            name="KL ratio",
            verdict="PASS",
            metric="kl_ratio",
            value=kl / 1.7,
            tolerance=1e-2 if coarse else 1e-9,
            relation="at_most",
            carries=True,
            message="KL(trained‖reloaded) over KL(base‖trained)",
            num_compared=192,
        ),
        Check(
            name="greedy samples",
            verdict="PASS",
            metric="samples_equal",
            value=3.0,
            tolerance=3.0,
            relation="equals",
            carries=False,
            message="greedy samples equal those of the trained model",
            num_compared=3,
        ),
    ]
    result = Result(
        id=identity,
        kind="read" if kind == "read" else "write",
        case=case,
        family=family,
        dtype=dtype,
        trainer=trainer,
        writer=writer,
        reader=reader if form else "",
        form=form,
        dialect=dialect,
        judgement=Judgement(verdict="PASS", cause="", checks=tuple(checks if form else checks[:1]), findings=()),
        disposition="none",
        known="",
        known_reason="",
        known_link="",
        measurements=(
            Measured(metric="delta_error_ratio_max", value=ratio, unit="1", num_compared=62 if moe else 14),
            Measured(metric="kl_trained_reloaded_max", value=kl, unit="nats", num_compared=192),
            Measured(metric="kl_base_trained_mean", value=1.7 * jitter(case), unit="nats", num_compared=192),
            Measured(metric="kl_base_reloaded_mean", value=1.7 * jitter(case), unit="nats", num_compared=192),
            Measured(metric="samples_equal", value=3.0, unit="samples", num_compared=3),
            Missing(metric="routing_equal_fraction", reason="the family has no router")
            if not moe
            else Measured(metric="routing_equal_fraction", value=1.0, unit="1", num_compared=192),
        ),
        first_diverging="",
        experts={"attempted": 48, "applied": 48, "fallback": 0, "zero_delta": 0} if moe else {},
        warnings=(),
        crash="",
        what_to_do="",
        rerun=f"deltaproof run --cells {','.join(dict.fromkeys((writer, reader if form else writer)))} -k '{identity}'",
        reused=False,
        timings_s={"load": 0.4, "observe": 0.3 * jitter(identity)},
        seed=1,
        directory=f"observations/{identity.replace('>', '/')}",
    )
    return dataclasses.replace(result, **changes)


def broken(result: Result, cause: str, **changes: Any) -> Result:
    """`result` as it looks when `cause` has happened to it."""
    layer, expert = 1, 5
    tensor = f"model.layers.{layer}.mlp.experts.{expert}.down_proj.weight"
    where = Location(tensor=tensor, layer=layer, expert=expert)
    kind = cause.split()[0]
    crash, verdict = "", "FAIL"
    checks = list(result.judgement.checks)
    findings = [Finding(kind=kind, message=cause, where=where)]
    doing = "Look at the layer that diverges first, then at the changelogs of the packages that differ."
    if kind == "delta_missing":
        message = f"the trained delta of 48 of 48 expert projections is not in the {result.form} that was reloaded"
        findings = [Finding(kind=kind, message=message, where=where, expected="‖Δ‖ 0.84", got="‖Δ‖ 0", num_alike=48)]
        findings += [Finding(kind="layer_diverges", message="outputs differ from layer 0 on", where=Location(layer=0))]
        checks[0] = dataclasses.replace(checks[0], verdict="FAIL", value=1.0, message=message)
        if len(checks) > 1:
            checks[1] = dataclasses.replace(checks[1], verdict="FAIL", value=0.69 * jitter(result.id))
            samples = "0 of 3 greedy samples equal"
            checks[2] = dataclasses.replace(checks[2], verdict="FAIL", value=0.0, message=samples)
        doing = "Save with per-expert tensors, or read the adapter with a PEFT of the writer's minor version."
    elif kind == "load_refused":
        verdict = "ERROR"
        checks = []
        crash = "Traceback (most recent call last):\n" + "".join(
            f'  File "site-packages/peft/tuners/tuners_utils.py", line {100 + line}, in load_{line}\n    step({line})\n'
            for line in range(18)
        )
        crash += (
            "RuntimeError: Error(s) in loading state_dict: size mismatch for "
            "base_model.model.model.layers.0.mlp.experts.base_layer.lora_A.default.weight: copying a param with shape "
            "torch.Size([32, 64]) from checkpoint, the shape in current model is torch.Size([32, 80])."
        )
        findings = [Finding(kind=kind, message=crash.splitlines()[-1], where=Location(layer=0))]
        doing = "Read this adapter with PEFT ≥ 0.19 only, or convert it."
    elif kind == "config_changed":
        message = "rope_theta is 10000.0 in the reloaded model; the checkpoint declares 1000000.0"
        findings = [Finding(kind=kind, message=message, expected="1000000.0", got="10000.0")]
        checks[1] = dataclasses.replace(checks[1], verdict="FAIL", value=0.042, message="the logits differ")
        doing = "Write rope_theta at the top level of config.json as well."
    elif kind == "coverage_lost":
        message = "asked to adapt attention and experts; 0 of 48 expert projections have an adapter"
        findings = [Finding(kind=kind, message=message, where=where, expected="62 tensors", got="14 tensors")]
        doing = "Name the fused parameters in target_parameters."
    elif kind == "signal_weak":
        verdict = "INCONCLUSIVE"
        message = "KL(base‖trained) is 2.0e-4, below the 1.0e-2 at which one lost expert would show"
        findings = [Finding(kind=kind, message=message)]
        checks[1] = dataclasses.replace(checks[1], verdict="INCONCLUSIVE", value=None, tolerance=None, message=message)
        doing = "Train for more steps."
    reads = result.kind == "read"
    judgement = Judgement(verdict=verdict, cause=cause, checks=tuple(checks), findings=tuple(findings))  # type: ignore[arg-type]
    made: dict[str, Any] = {
        "judgement": judgement,
        "disposition": "new",
        "crash": crash,
        "what_to_do": doing,
        "first_diverging": "model.layers.0.mlp (max |Δ| 3.1e-1)" if reads and not crash else "",
        "warnings": ("UserWarning: found missing adapter keys while loading the checkpoint",) if reads else (),
    }
    if kind == "delta_missing":
        made["experts"] = {"attempted": 48, "applied": 0, "fallback": 48, "zero_delta": 0}
        made["last_good"] = LastGood(
            run_id="20261118T031500Z-4be1",
            started_at="2026-11-18T03:15:00Z",
            metric="delta_error_ratio_max",
            value=5.1e-8,
            packages=(PackageDelta(cell=result.writer, package="peft", earlier="0.18.1", later="0.19.1"),),
        )
    return dataclasses.replace(result, **(made | changes))


def make_full_count(name: str) -> FullCountRow:
    """A green row of the table at full count."""
    kl = 2.9e-12 * jitter(name)
    return FullCountRow(
        cell=name,
        versions=dict(zip(("transformers", "peft", "trl"), ROWS[name], strict=True)),
        merged=18432,
        attempted=18432,
        kl_trained_reloaded_max=Measured(metric="kl", value=kl * 1e4, unit="nats", num_compared=96),
        kl_trained_reloaded_equal_routing_max=Measured(metric="kl", value=kl, unit="nats", num_compared=94),
        kl_base_trained_mean=Measured(metric="kl", value=1.7, unit="nats", num_compared=96),
        ratio_equal_routing=Measured(metric="ratio", value=kl / 1.7, unit="1", num_compared=94),
        num_positions=96,
        num_positions_equal_routing=94,
        samples_equal=3,
        num_samples=3,
        verdict="PASS",
    )


def make_report(results: list[Result], **changes: Any) -> Report:
    """A report of `results` over all five cells, with the counts and the verdict that follow from them."""
    counts: dict[str, int] = {}
    for result in results:
        counts[label(result)] = counts.get(label(result), 0) + 1
    failed = sum(count for name, count in counts.items() if name in ("FAIL", "ERROR", "FIXED", "EXPIRED"))
    exit_code = 1 if failed else 3 if counts.get("INCONCLUSIVE") else 0
    report = Report(
        schema_version=SCHEMA_VERSION,
        run_id="20261121T031502Z-9c2e",
        started_at="2026-11-21T03:15:02Z",
        duration_s=263.4,
        command="deltaproof run",
        verdict="FAIL" if failed else "INCONCLUSIVE" if exit_code else "PASS",
        exit_code=exit_code,
        headline=f"{failed} of {len(results)} results failed" if failed else f"All {len(results)} results hold",
        counts=counts,
        cells=tuple(make_cell(name) for name in ROWS),
        results=tuple(results),
        full_count=tuple(make_full_count(name) for name in ("r1", "r2", "r3", "r4")),
        timings_s={"build": 18.2, "write": 96.0, "read": 131.5, "judge": 6.1, "total": 263.4, "import": 151.0},
        host=Host(system="Linux 6.8 x86_64", processor="AMD EPYC 9B14", num_cpus=2, python="3.12.11"),
        code_digest="5f0c9ab1" * 8,
    )
    return dataclasses.replace(report, **changes)


def all_results() -> list[Result]:
    """Some 700 clean results: writes, the grid in both forms, and variants on the diagonal."""
    variants = {f"qwen3_moe-float32-loop+{name}": "qwen3_moe" for name in VARIANTS}
    results = [make_result(case=case, writer=writer, form="") for case in (*CASES, *variants) for writer in ROWS]
    for form in ("lora", "merged"):
        for case in CASES:
            results += [
                make_result(case=case, writer=writer, reader=reader, form=form) for writer in ROWS for reader in ROWS
            ]
        results += [make_result(case=case, writer=row, reader=row, form=form) for case in variants for row in ROWS]
    return results


def damaged(result: Result) -> Result:
    """`result` after the upstream breaks that a real matrix meets: some new, some known, one fixed, some untold."""
    route = (result.writer, result.reader, result.form)
    moe = bool(result.experts)
    if result.family == "qwen3_5_moe" and "r3" in (result.writer, result.reader):
        skipped = dataclasses.replace(result.judgement, verdict="SKIPPED", checks=(), findings=(), cause="")
        reason = "needs transformers >= 5.0, which r3 has not"
        return dataclasses.replace(result, judgement=skipped, what_to_do=reason, measurements=(), experts={})
    if moe and result.form == "lora" and result.reader != result.writer and "r2" in route[:2] and "r3" not in route[:2]:
        return broken(
            result,
            "load_refused RuntimeError size mismatch",
            disposition="known",
            known="peft-0.18-layout",
            known_reason="PEFT 0.19 swaps in and out features of 3D parameters: adapters do not cross that line.",
            known_link="https://github.com/huggingface/peft/issues/2521",
            known_expires="2027-03-01",
        )
    if moe and route == ("r3", "r2", "lora"):
        return broken(result, "delta_missing experts 48/48")
    if moe and result.reader == "r3" and result.form == "lora" and result.writer not in ("r3", "r2"):
        return broken(result, "delta_missing experts 48/48")
    if result.family == "qwen3_moe" and result.reader == "r3" and result.form == "merged" and result.writer != "r3":
        return broken(result, "config_changed rope_theta")
    if result.case.endswith("+tied") and result.kind == "write" and result.writer == "r2":
        return broken(result, "coverage_lost experts")
    if result.case.endswith("+rslora") and result.form == "lora" and result.writer == "newest":
        return broken(result, "signal_weak kl_base_trained")
    if result.case.endswith("+sharded") and result.form == "merged" and result.writer == "r4":
        return dataclasses.replace(
            result,
            disposition="fixed",
            known="sharded-experts-dropped",
            known_reason="Experts split over shards were dropped.",
            known_link="https://github.com/unslothai/unsloth-zoo/pull/647",
            known_expires="2027-01-15",
        )
    return result


def hostile_result(result: Result) -> Result:
    """`result` with markup, control characters and great length in every text that a file can put there."""
    finding = Finding(
        kind=HOSTILE, message=HOSTILE * 30, where=Location(tensor=HOSTILE, layer=0, expert=1), expected=HOSTILE
    )
    check = Check(
        name=HOSTILE,
        verdict="FAIL",
        metric=HOSTILE,
        value=1.0,
        tolerance=0.0,
        relation="at_most",
        carries=True,
        message=HOSTILE,
        num_compared=1,
    )
    return dataclasses.replace(
        result,
        id=result.id + HOSTILE,
        case=HOSTILE + "x" * 3000,
        family=HOSTILE,
        judgement=Judgement(verdict="FAIL", cause=HOSTILE, checks=(check,), findings=(finding,)),
        disposition="new",
        known=HOSTILE,
        known_reason=HOSTILE,
        known_link="javascript:alert(1)",
        first_diverging=HOSTILE,
        measurements=(Missing(metric=HOSTILE, reason=HOSTILE),),
        experts={HOSTILE: 1},
        warnings=(HOSTILE,),
        crash=HOSTILE * 200,
        what_to_do=HOSTILE,
        rerun=HOSTILE,
        directory=HOSTILE,
    )


def hostile_report() -> Report:
    """Every text that can come from a file tries to break out of its place."""
    cell = dataclasses.replace(make_cell("r1"), why=HOSTILE, error=HOSTILE * 50, versions={HOSTILE: HOSTILE})
    results = [hostile_result(make_result()), hostile_result(make_result(form=""))]
    known = dataclasses.replace(hostile_result(make_result(case="llama-float32-loop")), disposition="known")
    return make_report(
        [*results, known],
        headline=HOSTILE,
        run_id=HOSTILE,
        command=HOSTILE,
        cells=(cell, make_cell("r2")),
        full_count=(dataclasses.replace(make_full_count("r1"), cell=HOSTILE, versions={"peft": HOSTILE}),),
        faults=make_kills(run_id=f"../../{HOSTILE}", started_at=HOSTILE, expression=HOSTILE),
    )


def unbuilt_report() -> Report:
    """A run in which one environment could not be resolved: exit 4."""
    words = (
        "  × No solution found when resolving dependencies:\n"
        "  ╰─▶ Because trl==1.16.0 depends on transformers>=5.20 and you require transformers==5.5.0,\n"
        "      we can conclude that your requirements are unsatisfiable."
    )
    cells = tuple(make_cell(name, error=words if name == "r4" else "") for name in ROWS)
    results = [damaged(result) for result in all_results() if "r4" not in (result.writer, result.reader)]
    return make_report(results, cells=cells, exit_code=4, headline="r4 could not be built; 31 results failed")


def two_stacks_report() -> Report:
    """Two rows of PEFT and one of another stack, whose adapters of experts are in three dialects; one is not read."""
    jax = {"jax": "0.10.2", "jaxlib": "0.10.2", "flax": "0.12.8", "optax": "0.2.8"}
    cell = dataclasses.replace(
        make_cell("r1"), name="jax", why="the second stack", stack="jax_stacked", requirements={}, versions=jax
    )
    names = ("r1", "r2", "jax")
    results = [make_result(writer=name, form="") for name in names]
    for writer in names:
        dialects = ("standard", "swapped", "per_expert") if writer == "jax" else ("",)
        for reader in names:
            results += [make_result(writer=writer, reader=reader, form="lora", dialect=each) for each in dialects]
            results.append(make_result(writer=writer, reader=reader, form="merged"))
    dense = [make_result(case="llama-float32-loop", writer="jax", reader=reader, form="lora") for reader in names]
    damaged_id = "qwen3_moe-float32-loop@jax>lora-swapped>r1"
    cause = "load_refused RuntimeError size mismatch"
    results = [broken(each, cause) if each.id == damaged_id else each for each in results]
    return make_report([*results, *dense], cells=(make_cell("r1"), make_cell("r2"), cell), full_count=())


def make_kills(**changes: Any) -> KillSummary:
    """The numbers of a kill matrix that lay beside."""
    made = KillSummary(
        run_id="faults-20261121T232750-8fac",
        started_at="2026-11-21T23:27:50Z",
        expression="",
        seed=4,
        num_faults=110,
        num_caught=97,
        num_false_alarms=0,
        num_controls=54,
        exit_code=1,
    )
    return dataclasses.replace(made, **changes)


BUILDERS: Mapping[str, Callable[[], Report]] = {
    "green": lambda: make_report(all_results()),
    "failing": lambda: make_report([damaged(result) for result in all_results()], faults=make_kills()),
    "unbuilt": unbuilt_report,
    "two_stacks": two_stacks_report,
    "hostile": hostile_report,
    "small": lambda: make_report([make_result()], full_count=()),
    "empty": lambda: make_report([], cells=(), full_count=()),
    "all_broken": lambda: make_report([broken(result, "delta_missing experts 48/48") for result in all_results()]),
}


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Report]:
    """The sample report of a name in `BUILDERS`."""
    made: dict[str, Report] = {}

    def build(name: str) -> Report:
        if name not in made:
            made[name] = BUILDERS[name]()
        return made[name]

    return build


@pytest.fixture(params=sorted(BUILDERS))
def any_name(request: pytest.FixtureRequest) -> str:
    """The name of every sample report in turn."""
    return str(request.param)


@pytest.fixture
def any_report(any_name: str, sample: Callable[[str], Report]) -> Report:
    """Every sample report in turn."""
    return sample(any_name)


@pytest.fixture(name="make_result")
def _make_result() -> Callable[..., Result]:
    return make_result


@pytest.fixture(name="make_report")
def _make_report() -> Callable[..., Report]:
    return make_report


@pytest.fixture(name="broken")
def _broken() -> Callable[..., Result]:
    return broken
