"""What could not be measured: every reason, whole, and under which names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.metrics import registry
from harness.metrics.observed import Observed
from harness.records.jobs import Crash
from harness.records.results import Missing
from tests.observations import (
    EXPERT_3,
    Weights,
    answered,
    make_logits,
    make_outputs,
    make_read,
    make_weights,
    make_write,
)

READ, WRITE, OUTPUTS = make_read(), make_write(), make_outputs(make_logits(2))
SHORT = make_outputs(make_logits(2)[:1])
SPOILT = make_outputs(np.full_like(OUTPUTS.logits_BTV, np.nan))
EMPTY = make_outputs(np.zeros((0, 5, 7), np.float32))
UNWEIGHED = "the weights were not compared"
UNSEEN = "these outputs were not observed"
UNLIKE = "logits have shapes (2, 5, 7) and (1, 5, 7)"
NOISE = ("kl_trained_reloaded_mean", "kl_trained_reloaded_max")
OF_BASE = ("kl_base_reloaded_mean", "kl_base_reloaded_max")
SIGNAL = ("kl_base_trained_mean", "kl_base_trained_max")
EQUAL = ("kl_equal_routing_mean", "kl_equal_routing_max", "kl_ratio_equal_routing")
OF_DELTAS = ("weight_residual_max", "weight_residual_total", "recovered_min")


def untrained_experts(got: Weights, base: Weights, deltas: Weights) -> None:
    """No expert has a delta."""
    for name in [name for name in deltas if ".experts." in name]:
        got[name], deltas[name] = base[name], 0 * deltas[name]


def untrained(got: Weights, base: Weights, deltas: Weights) -> None:
    """Nothing has."""
    for name in deltas:
        got[name], deltas[name] = base[name], 0 * deltas[name]


def diverged(got: Weights, base: Weights, deltas: Weights) -> None:
    """One delta is no number."""
    deltas[EXPERT_3] = np.full((3, 2), np.nan, np.float32)


def flipped() -> Observed:
    """A route on which every position is routed otherwise."""
    return make_read(reloaded=replace(OUTPUTS, routing_MBTK=OUTPUTS.routing_MBTK + 3))


def with_margin(margin: float) -> Observed:
    """A route on which the second sample leaves the trained model's path at its second token."""
    margins_SN, tokens_SN = np.full((3, 4), 0.5), OUTPUTS.tokens_SN.copy()
    margins_SN[1, 1], tokens_SN[1, 1] = margin, 99
    return make_read(trained=replace(OUTPUTS, margins_SN=margins_SN), reloaded=replace(OUTPUTS, tokens_SN=tokens_SN))


CRASH = Crash(stage="adapt", exception="ValueError", message="", traceback="")
CASES: dict[str, list[tuple[str, Observed, dict[str, str]]]] = {
    "agreement": [
        ("no reloaded", replace(READ, reloaded=None), {"top1_agreement": "the two sets of logits cannot be compared"}),
        ("no trained", replace(READ, trained=None), {"top1_agreement": "the two sets of logits cannot be compared"}),
        ("shapes", replace(READ, reloaded=SHORT), {"top1_agreement": "the two sets of logits cannot be compared"}),
    ],
    "contradictions": [
        ("no weights", replace(WRITE, weights=None), {"saved_contradictions": "what was saved was not read"}),
    ],
    "coverage": [
        (
            "crash", answered(WRITE, crash=CRASH, adapted=()),
            dict.fromkeys(("coverage_lost", "coverage_extra"), "nothing was adapted: the write crashed"),
        ),
    ],
    "decoding": [
        (
            "no outputs", replace(READ, reloaded=None),
            {"decoding_error": "nothing was generated and then computed in one pass"},
        ),
        (
            "one of two", replace(WRITE, base=None),
            {"decoding_error": "nothing was generated and then computed in one pass"},
        ),
    ],
    "dtypes": [("no weights", replace(WRITE, weights=None), {"dtype_changed": UNWEIGHED})],
    "experts": [
        ("no weights", replace(READ, weights=None), {"experts_fallback": UNWEIGHED}),
        (
            "no deltas", make_read(weights=make_weights(damage=untrained_experts)),
            {"experts_fallback": "experts are adapted, and no delta of theirs is not zero"},
        ),
    ],
    "finite": [("no outputs", replace(READ, reloaded=None), {"logits_not_finite": "no logits were observed"})],
    "initial": [
        (
            "no notes", answered(WRITE, notes={}),
            {"initial_scale_error": "no factor was seen before the first step"},
        ),
    ],
    "inventory": [
        (
            "no model", answered(READ, fields=()),
            dict.fromkeys(("config_changed", "keys_unplaced"), "no model was loaded"),
        ),
        ("no weights", replace(READ, weights=None), {"keys_unplaced": UNWEIGHED}),
    ],
    "kl": [
        (
            "no reloaded", replace(READ, reloaded=None),
            dict.fromkeys((*NOISE, *OF_BASE, *EQUAL), UNSEEN) | {"kl_ratio": f"kl_trained_reloaded_mean: {UNSEEN}"},
        ),
        (
            "no base", replace(READ, base=None),
            dict.fromkeys((*SIGNAL, *OF_BASE), UNSEEN)
            | dict.fromkeys(("kl_ratio", "kl_ratio_equal_routing"), f"kl_base_trained_mean: {UNSEEN}"),
        ),
        (
            "shapes", replace(READ, reloaded=SHORT),
            dict.fromkeys((*NOISE, *OF_BASE, *EQUAL), UNLIKE) | {"kl_ratio": f"kl_trained_reloaded_mean: {UNLIKE}"},
        ),
        (
            "no numbers", replace(READ, reloaded=SPOILT),
            dict.fromkeys((*NOISE, *OF_BASE, *EQUAL), "logits are not finite")
            | {"kl_ratio": "kl_trained_reloaded_mean: logits are not finite"},
        ),
        ("no positions", replace(WRITE, base=EMPTY, trained=EMPTY), dict.fromkeys(SIGNAL, "no positions")),
        (
            "no signal", replace(READ, base=READ.trained),
            dict.fromkeys(
                ("kl_ratio", "kl_ratio_equal_routing"), "base and trained compute the same: there is no signal"
            ),
        ),
        (
            "routed otherwise", flipped(),
            dict.fromkeys(EQUAL, "no position is routed to the same experts in every layer"),
        ),
    ],
    "layers": [
        (
            "no reloaded", replace(READ, reloaded=None),
            {"stage_error_max": "no stage of the forward pass was observed"},
        ),
        (
            "no stages", replace(READ, reloaded=replace(OUTPUTS, stages={})),
            {"stage_error_max": "embed_tokens (not there)"},
        ),
    ],
    "repeating": [
        (
            "one of two", replace(WRITE, base=replace(OUTPUTS, unrepeated=None)),
            {"logits_unrepeated": "no second pass was observed"},
        ),
    ],
    "routing": [
        (
            "no reloaded", replace(READ, reloaded=None),
            {"equal_routing_share": "the reloaded model was not observed"},
        ),
        (
            "shapes", replace(READ, reloaded=SHORT),
            {"equal_routing_share": "routing has another shape: (2, 1, 5, 2)"},
        ),
    ],
    "samples": [
        ("no reloaded", replace(READ, reloaded=None), {"samples_equal": "these samples were not generated"}),
        ("no base", replace(READ, base=None), {"samples_base_equal": "these samples were not generated"}),
        (
            "shapes", replace(READ, reloaded=replace(OUTPUTS, tokens_SN=OUTPUTS.tokens_SN[:, :3])),
            {"samples_equal": "shapes (3, 4) and (3, 3)"},
        ),
        ("margin", with_margin(np.nan), {"sample_margin_max": "the trained model's logits are not finite"}),
    ],
    "training": [
        (
            "no losses", answered(WRITE, losses=()),
            dict.fromkeys(("first_loss_error", "steps_lost"), "no loss was recorded"),
        ),
        (
            "no base", replace(WRITE, base=None),
            {"first_loss_error": "the base model was not observed on these tokens"},
        ),
        (
            "no numbers", replace(WRITE, base=SPOILT),
            {"first_loss_error": "the base model was not observed on these tokens"},
        ),
    ],
    "untrained": [
        ("no weights", replace(WRITE, weights=None), {"delta_untrained": UNWEIGHED}),
        ("no base", replace(WRITE, base=None), {"delta_untrained": UNWEIGHED}),
    ],
    "weights": [
        (
            "no weights", replace(READ, weights=None),
            dict.fromkeys((*OF_DELTAS, "passthrough_changed", "weights_unusable"), UNWEIGHED),
        ),
        (
            "no deltas", make_read(weights=make_weights(damage=untrained)),
            dict.fromkeys(OF_DELTAS, "no tensor has a delta that its dtype can hold"),
        ),
        (
            "no numbers", make_read(weights=make_weights(damage=diverged)),
            dict.fromkeys(OF_DELTAS, "the trained delta is not finite"),
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "observed", "expected"),
    [
        pytest.param(name, observed, expected, id=f"{name} {what}")
        for name, cases in CASES.items()
        for what, observed, expected in cases
    ],
)
def test_what_could_not_be_measured_says_why(name: str, observed: Observed, expected: dict[str, str]) -> None:
    """The names that are lost, each with its reason; what can be measured all the same is."""
    missing = [each for each in registry()[name](observed) if isinstance(each, Missing)]
    assert expected == {each.metric: each.reason for each in missing}
    assert len(expected) == len(missing)


def test_every_metric_that_can_be_missing_is_here() -> None:
    """Of a job that got nowhere each of them says so."""
    nothing: dict[str, None] = dict.fromkeys(("base", "trained", "reloaded", "weights"))
    answer = {"fields": (), "adapted": (), "losses": (), "notes": {}, "crash": CRASH}
    nowhere = [answered(replace(made, **nothing), **answer) for made in (READ, WRITE)]  # type: ignore[arg-type]
    lost = {
        name for name, measure in registry().items() for made in nowhere for each in measure(made)
        if isinstance(each, Missing)
    }  # fmt: skip
    assert lost <= set(CASES)
