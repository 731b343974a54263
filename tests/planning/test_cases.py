"""Round trips from TOML: what a group stands for, and how a mistake in one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import CaseError
from harness.planning.cases import load_cases
from harness.records.cases import Case
from tests.observations import FAMILIES

GROUP = """
[[group]]
variant = "odd"
why = "a test"
families = ["qwen3", "qwen3_moe"]
dtypes = ["float32", "bfloat16"]
trainers = ["loop", "trl"]
adapter = { rank = 6 }
quick = ["qwen3"]
"""


def load(folder: Path, *texts: str) -> tuple[Case, ...]:
    """The cases of files with these texts."""
    for number, text in enumerate(texts):
        (folder / f"{number}.toml").write_text(text, encoding="utf-8")
    return load_cases(folder, FAMILIES)


def test_a_group_is_a_product(tmp_path: Path) -> None:
    """Families × dtypes × trainers, in that order, each named by them and the variant."""
    expected = [
        f"{family}-{dtype}-{trainer}-odd"
        for family in ("qwen3", "qwen3_moe")
        for dtype in ("float32", "bfloat16")
        for trainer in ("loop", "trl")
    ]
    cases = load(tmp_path, GROUP)
    assert expected == [case.name for case in cases]
    assert [(case.family, case.dtype, case.trainer) for case in cases] == [
        tuple(case.name.split("-")[:3]) for case in cases
    ]


def test_what_a_group_says_is_in_each_of_its_cases(tmp_path: Path) -> None:
    """Adapter keys, the reason, and `quick` for the families that it names."""
    cases = load(tmp_path, GROUP)
    assert {("a test", 6, 8)} == {(case.why, case.adapter.rank, case.adapter.alpha) for case in cases}
    assert {"qwen3"} == {case.family for case in cases if case.quick}


def test_what_is_adapted_by_default_depends_on_the_family(tmp_path: Path) -> None:
    """Attention with experts where there are some, with the MLP where not; and what a group says instead."""
    by_family = {case.family: case.adapter.adapt for case in load(tmp_path, GROUP)}
    assert {"qwen3": ("attention", "mlp"), "qwen3_moe": ("attention", "experts")} == by_family
    named = load(tmp_path, GROUP + 'adapt = ["attention"]\n')
    assert {("attention",)} == {case.adapter.adapt for case in named}


def test_who_writes_is_said_by_a_group(tmp_path: Path) -> None:
    """PEFT alone where nothing is said, because most recipes are PEFT's; else the stacks that are named."""
    assert {("torch_peft",)} == {case.stacks for case in load(tmp_path, GROUP)}
    both = load(tmp_path, GROUP + 'stacks = ["torch_peft", "jax_stacked"]\n')
    assert {("torch_peft", "jax_stacked")} == {case.stacks for case in both}


def test_a_plain_group_adds_nothing_to_the_name(tmp_path: Path) -> None:
    """Without a variant the name ends with the trainer, which is the loop unless said otherwise."""
    text = '[[group]]\nwhy = "a test"\nfamilies = ["qwen3"]\ndtypes = ["float32"]\n'
    (case,) = load(tmp_path, text)
    assert ("qwen3-float32-loop", False, ("lora", "merged")) == (case.name, case.grid, case.forms)


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    """And all of them."""
    plain = '[[group]]\nwhy = "a test"\nfamilies = ["{}"]\ndtypes = ["float32"]\n'
    cases = load(tmp_path, plain.format("qwen3_moe"), plain.format("qwen3"))
    assert ["qwen3_moe", "qwen3"] == [case.family for case in cases]


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        pytest.param('"qwen3", ', '"qwen9", ', ["unknown family", "got qwen9", "qwen3_moe", "llama"], id="family"),
        pytest.param('why = "a test"', 'wy = "a test"', ["unknown key 'wy'", "why", "variant"], id="unknown key"),
        pytest.param("rank = 6", "rang = 6", ["adapter: unknown key 'rang'", "rank", "alpha"], id="adapter's key"),
        pytest.param("rank = 6", "rank = true", ["rank", "wrong type", "bool"], id="a flag for a rank"),
        pytest.param("rank = 6", 'adapt = ["head"], rank = "6"', ["rank", "wrong type"], id="a text for a rank"),
        pytest.param('"bfloat16"', '"float16"', ["unknown value", "float32, bfloat16"], id="dtype"),
        pytest.param('"trl"', '"axolotl"', ["unknown value", "loop, trl"], id="trainer"),
        pytest.param("quick = [", 'stacks = ["tensorflow"]\nquick = [', ["unknown value", "jax_stacked"], id="stack"),
        pytest.param('quick = ["qwen3"]', "quick = true", ["quick", "a list"], id="quick"),
        pytest.param('"bfloat16"', '"float32"', ["qwen3-float32-loop-odd", "declared twice"], id="twice in a group"),
        pytest.param("[[group]]", "[[groups]]", ["unknown key 'groups'", "group"], id="another table"),
        pytest.param("[[group]]", "[[group", ["cannot be read"], id="not TOML"),
        pytest.param('why = "a test"\n', "", ["key 'why' is missing"], id="no reason"),
        pytest.param("rank = 6 }", "rank = 6 }\nsave = { fusd = 1 }", ["unknown key 'fusd'", "fused"], id="save's key"),
    ],
)
def test_a_mistake_is_named_with_what_there_is(tmp_path: Path, good: str, bad: str, words: list[str]) -> None:
    """Each mistake is a CaseError with the file, the word and the words there are; without it the same file loads."""
    assert 8 == len(load(tmp_path, GROUP))
    with pytest.raises(CaseError) as raised:
        load(tmp_path, GROUP.replace(good, bad, 1))
    for word in ("0.toml", *words):
        assert word in str(raised.value)


def test_a_case_declared_in_two_files_is_a_mistake(tmp_path: Path) -> None:
    """One name, one case, whichever the file."""
    with pytest.raises(CaseError, match=r"1\.toml: qwen3-float32-loop-odd: this case is declared twice"):
        load(tmp_path, GROUP, GROUP)


def test_no_cases_are_a_mistake(tmp_path: Path) -> None:
    """An empty folder would make every run green."""
    with pytest.raises(CaseError, match="no cases"):
        load(tmp_path)
