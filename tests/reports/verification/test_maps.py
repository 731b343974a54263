"""The maps: every adapted weight has its cell in its colour, in few strokes, and says what is known of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from harness.verify.report import SiteSeen, State
from reports.verification import maps
from reports.verification.cells import around_layer, outside
from reports.verification.maps import MAX_TIPS, Map, Stroke, expert_maps, module_maps
from reports.verification.tones import NAMES, NAMES_OF_ADAPTER, STATES, TONES, tone
from tests.reports.verification import builders

Cells = dict[tuple[int, int], str]


def cells(strokes: Iterable[Stroke]) -> Cells:
    """Row and column of each cell that strokes cover, with their name."""
    found: Cells = {}
    for stroke in strokes:
        for x, y, width in re.findall(r"M(\d+) (\d+)\.5h(\d+)", stroke.path):
            for column in range(int(x), int(x) + int(width)):
                assert (int(y), column) not in found
                found[int(y), column] = stroke.name
    return found


def colours(drawn: Map) -> Cells:
    """Every cell of a map with its tone."""
    return cells(stroke for row in drawn.rows for stroke in row.colours)


def marks(drawn: Map) -> Cells:
    """Every cell of a map that has a mark."""
    return cells(stroke for row in drawn.rows for stroke in row.marks)


def seen(state: State, recovered: float | None) -> SiteSeen:
    """A weight in this state."""
    return replace(builders.site("a.weight", layer=None), state=state, recovered=recovered)


@pytest.mark.parametrize(
    ("state", "recovered", "expected"),
    [
        ("applied", 1.0, "right"),
        ("applied", 0.54, "rounded"),
        ("applied", None, "right"),
        ("lost", 0.0, "lost"),
        ("zero", None, "zero"),
        ("missing", 0.0, "none"),
        ("untold", None, "untold"),
        ("wrong", None, "untold"),
        ("wrong", float("nan"), "untold"),
        ("wrong", float("inf"), "untold"),
        ("wrong", -1.0, "opposite"),
        ("wrong", -0.02, "none"),
        ("wrong", 0.3, "some"),
        ("wrong", 0.5, "most"),
        ("wrong", 1.0, "all"),
        ("wrong", 1.2, "over"),
        ("wrong", 2.0, "over"),
    ],
)
def test_colours_are_of_what_was_recovered(state: State, recovered: float | None, expected: str) -> None:
    """And right is never the colour of wrong: what was recovered may be 1 where the residual is not 0."""
    assert expected == tone(seen(state, recovered)).name


def test_every_state_and_tone_has_words() -> None:
    """No cell stays without a legend."""
    assert set(STATES) == set(NAMES) == set(NAMES_OF_ADAPTER)
    assert len(TONES) == len({each.name for each in TONES}) == len({each.says for each in TONES})


def test_each_matrix_has_a_map_of_layers_and_experts() -> None:
    """Gate, up and down, however they come; layers as rows, experts as columns, and the lost one where it is."""
    drawn = expert_maps(builders.one_lost_expert().sites[::-1]).drawn
    assert ["gate", "up", "down"] == [each.title for each in drawn]
    for each in drawn:
        assert (("0", "1", "2"), tuple(map(str, range(8)))) == (each.row_labels, each.column_labels)
        assert {
            (row, column): "none" if (row, column) == (1, 5) else "right" for row in range(3) for column in range(8)
        } == (colours(each))
        assert {(1, 5): "missing"} == marks(each)
        assert "23 applied, 1 missing" == each.summary


def test_neighbours_of_one_colour_are_one_stroke() -> None:
    """A row of 128 experts with one that is lost is three runs."""
    drawn = expert_maps(builders.one_lost_expert(12, 128).sites).drawn[0]
    assert ["M0 1.5h5M6 1.5h122", "M5 1.5h1"] == [stroke.path for stroke in drawn.rows[1].colours]


def test_other_modules_have_a_map_of_their_own() -> None:
    """Modules as rows, layers as columns; what is in no layer is in neither."""
    report = builders.one_wrong_layer()
    [drawn] = module_maps(report.sites).drawn
    assert tuple(f"self_attn.{name}" for name in builders.MODULES) == drawn.row_labels
    assert {(row, 2): "wrong" for row in range(4)} == marks(drawn)
    assert ["lm_head.weight"] == [site.name for site in outside(report.sites)]


def test_two_stacks_of_layers_are_two_maps() -> None:
    """A vision tower's layer 0 is not the text model's; their experts are told apart too."""
    names = ("model.layers.0.attn.q.weight", "model.visual.blocks.0.attn.q.weight")
    found = [builders.site(name, layer=0) for name in names]
    assert ["model.layers", "model.visual.blocks"] == [each.title for each in module_maps(found).drawn]
    experts = [
        builders.site(f"{head}.layers.0.mlp.experts.0.gate_proj.weight", layer=0, expert=0, part="gate")
        for head in ("model", "mtp")
    ]
    titles = [each.title for each in expert_maps(experts).drawn]
    assert ["model.layers.*.mlp.experts.*.gate_proj", "mtp.layers.*.mlp.experts.*.gate_proj"] == titles


def test_a_layer_and_an_expert_of_one_number_are_told_apart() -> None:
    """In layers.3.experts.3 the first is the layer."""
    same = builders.site("model.layers.3.mlp.experts.3.down_proj.weight", layer=3, expert=3)
    assert ("model.layers", "mlp.experts.*.down_proj") == around_layer(same)


def test_experts_that_are_not_adapted_have_no_cell() -> None:
    """Columns are those experts that are there, whatever a stranger numbers them."""
    found = [
        builders.site(f"m.layers.{layer}.experts.{expert}.up.weight", layer=layer, expert=expert, part="up")
        for layer, expert in ((0, 7), (0, 999_999_999), (5, 7))
    ]
    [drawn] = expert_maps(found).drawn
    assert (("0", "5"), ("7", "999999999")) == (drawn.row_labels, drawn.column_labels)
    assert {(0, 0), (0, 1), (1, 0)} == set(colours(drawn))


def test_a_cell_says_what_is_known() -> None:
    """Its name, state, what was recovered, the residual, and how many elements are wrong."""
    [wrong] = [site for site in builders.one_wrong_layer().sites if site.name.endswith("2.self_attn.q_proj.weight")]
    wrong = replace(wrong, recovered=0.25, residual=1.4)
    expected = (
        "model.layers.2.self_attn.q_proj.weight: wrong, recovered 0.25, residual 1.4, 393139 of 393216 elements wrong"
    )
    assert expected == maps.told(wrong, NAMES)


def test_a_row_sums_up_its_cells() -> None:
    """States and the spread of what was recovered."""
    drawn = expert_maps(builders.one_lost_expert().sites).drawn[0]
    assert re.fullmatch(r"gate layer 1: 7 applied, 1 missing; recovered 0 to 1(\.\d+)?", drawn.rows[1].title)


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        pytest.param(builders.one_lost_expert(3, 8).sites, 72, id="few: each cell"),
        pytest.param(builders.one_lost_expert(94, 128).sites, 3, id="many: those that are not right"),
        pytest.param(builders.wrong_packing(94, 128).sites, 0, id="many that are not right: rows alone"),
    ],
)
def test_tips_are_few(sites: tuple[SiteSeen, ...], expected: int) -> None:
    """All cells are drawn; which ones speak for themselves depends on how many there are."""
    drawn = expert_maps(sites).drawn
    assert expected == sum(len(row.tips) for each in drawn for row in each.rows) <= MAX_TIPS
    assert Counter(tone(site).name for site in sites if site.expert is not None) == Counter(
        name for each in drawn for name in colours(each).values()
    )


def test_what_is_too_large_to_draw_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The maps that fit are drawn."""
    monkeypatch.setattr(maps, "MAX_CELLS", 20)
    found = [
        builders.site(f"m.layers.0.experts.{expert}.{part}.weight", layer=0, expert=expert, part=part)
        for part in builders.PARTS
        for expert in range(10)
    ]
    drawn = expert_maps(found)
    assert (["gate", "up"], 1) == ([each.title for each in drawn.drawn], drawn.num_left_out)
