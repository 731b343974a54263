"""What is refused of an adapter_config.json: one line that names file and field, whatever is in it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.verify.adapter_config import read_config
from harness.verify.adapters import read_adapter
from harness.verify.companions.folder import SMALL, open_folder
from tests.verify.adapter_files import config, write_adapter

MALFORMED = [
    ({"peft_type": "IA3"}, "not a LoRA adapter; expected 'LORA'; got 'IA3'"),
    ({"peft_type": "ADALORA"}, "not a LoRA adapter"),
    ({"peft_type": ...}, "not a LoRA adapter; expected 'LORA'; got None"),
    ({"r": 0}, "r: cannot be used; expected a whole number from 1"),
    ({"r": -2}, "r: cannot be used"),
    ({"r": True}, "r: cannot be used"),
    ({"r": 2.0}, "r: cannot be used"),
    ({"r": "2"}, "r: cannot be used"),
    ({"r": None}, "r: cannot be used"),
    ({"r": 10**30}, "r: cannot be used"),
    ({"lora_alpha": True}, "lora_alpha: cannot be used; expected a finite number"),
    ({"lora_alpha": None}, "lora_alpha: cannot be used"),
    ({"lora_alpha": 10**400}, "lora_alpha: cannot be used"),
    ({"lora_alpha": math.nan}, "NaN is no JSON number"),
    ({"lora_dropout": -math.inf}, "-Infinity is no JSON number"),
    ({"use_rslora": 1}, "use_rslora: cannot be used; expected true or false"),
    ({"bias": "some"}, "bias: cannot be used; expected none, all, lora_only"),
    ({"rank_pattern": ["q_proj"]}, "rank_pattern: cannot be used; expected a table"),
    ({"rank_pattern": {"q_proj": 0}}, "rank_pattern['q_proj']: cannot be used"),
    ({"alpha_pattern": {"q_proj": "8"}}, "alpha_pattern['q_proj']: cannot be used"),
    ({"target_modules": 5}, "target_modules: cannot be used; expected a list of texts"),
    ({"target_modules": ["q_proj", 5]}, "target_modules: cannot be used"),
    ({"target_parameters": ["down\x1b[2J"]}, "target_parameters: cannot be used"),
    ({"target_parameters": "experts.down_proj"}, "target_parameters: cannot be used"),
    ({"modules_to_save": "lm_head"}, "modules_to_save: cannot be used"),
    ({"layers_to_transform": [True]}, "layers_to_transform: cannot be used"),
    ({"layers_to_transform": "1"}, "layers_to_transform: cannot be used"),
    ({"layers_pattern": "layers"}, "layers_pattern without layers_to_transform"),
    ({"layers_to_transform": [1], "target_modules": "q_proj"}, "layers_to_transform needs target_modules"),
    ({"lora_B_layout": "column_major"}, "lora_B_layout: cannot be used; expected grouped_by_expert, rank_major"),
    ({"peft_version": 0.19}, "peft_version: cannot be used; expected a text"),
    ({"base_model_name_or_path": ["x"]}, "base_model_name_or_path: cannot be used"),
]


@pytest.mark.parametrize(
    ("changes", "message"), MALFORMED, ids=[json.dumps(row[0], default=str)[:60] for row in MALFORMED]
)
def test_fields_of_the_wrong_kind_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """And named, with what was expected."""
    with pytest.raises(UsageError) as caught:
        read_adapter(write_adapter(tmp_path, **changes))
    assert message in str(caught.value)
    assert "adapter_config.json" in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is not valid JSON"),
        (b"[]", "is not a JSON object; got list"),
        (b"{", "is not valid JSON"),
        (b'{"peft_type": "LORA", "r": 1e999}', "1e999 is larger than any number"),
        (b'{"peft_type": "LORA", "r": 4, "r": 8}', "a key is there twice"),
        (b'{"peft_type": "LORA", "rank_pattern": {"a": 1, "a": 2}}', "a key is there twice"),
        (b'{"peft_type": "\\ud800"}', "holds text that is no Unicode"),
        (b'{"peft_type": "\xff"}', "is not valid JSON"),
        (b"\xef\xbb\xbf{}", "is not valid JSON"),
        (b"[" * 200_000, "is not valid JSON|too many brackets"),
        (b'{"r":' * 200_000, "is not valid JSON"),
        (b" " * (SMALL.size_bytes + 1), "is too large to be"),
        (b"9" * 5000, "is not valid JSON"),
    ],
    ids=[
        *("empty", "list", "open", "infinite", "twice", "twice within", "surrogate", "latin", "mark", "deep", "deeper"),
        *("large", "digits"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    """Before any field is looked at."""
    directory = write_adapter(tmp_path)
    (directory / "adapter_config.json").write_bytes(text)
    with pytest.raises(UsageError, match=message):
        read_adapter(directory)


def test_defaults_are_pefts_and_are_named(tmp_path: Path) -> None:
    """Rank and alpha decide the delta, and PEFT writes both: where they are missing, somebody else wrote the file."""
    found, findings = read_config(open_folder(write_adapter(tmp_path, r=..., lora_alpha=...)))
    assert (8, 8.0) == (found.rank, found.alpha)
    assert [("config_mismatch", "warning")] * 2 == [(finding.kind, finding.severity) for finding in findings]
    assert ["r is not said: PEFT takes 8", "lora_alpha is not said: PEFT takes 8"] == [
        each.message for each in findings
    ]


def test_all_that_is_said_is_read(tmp_path: Path) -> None:
    """Each field that decides a delta, with a value that is not its default."""
    directory = write_adapter(
        tmp_path,
        use_rslora=True,
        use_dora=True,
        fan_in_fan_out=True,
        lora_bias=True,
        bias="lora_only",
        rank_pattern={"k": 3},
        alpha_pattern={"k": 1.5},
        target_parameters=["experts.down_proj"],
        modules_to_save=["lm_head"],
        layers_to_transform=3,
        layers_pattern="h",
        exclude_modules=["o_proj"],
        lora_B_layout="grouped_by_expert",
    )
    found, findings = read_config(open_folder(directory))
    assert () == findings
    assert (True, True, True, True) == (found.rslora, found.dora, found.fan_in_fan_out, found.lora_bias)
    assert ("lora_only", {"k": 3}, {"k": 1.5}) == (found.bias, found.rank_pattern, found.alpha_pattern)
    assert (("q_proj",), ("experts.down_proj",)) == (found.target_modules, found.target_parameters)
    assert (("lm_head",), (3,), ("h",)) == (found.modules_to_save, found.layers_to_transform, found.layers_pattern)
    assert (("o_proj",), "grouped_by_expert") == (found.exclude_modules, found.lora_b_layout)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["q_proj", "(q_proj", "[", ".*", "all-linear", "LORA", 10**400, "(?i)a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted(
    {
        *config(),
        "rank_pattern",
        "alpha_pattern",
        "use_rslora",
        "use_dora",
        "lora_bias",
        "exclude_modules",
        "lora_B_layout",
    }
    | {
        "target_parameters",
        "modules_to_save",
        "layers_to_transform",
        "layers_pattern",
        "init_lora_weights",
        "use_qalora",
    }
)


@given(changes=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3), cut=st.integers(min_value=0, max_value=40))
def test_no_configuration_is_a_crash(changes: dict[str, Any], cut: int) -> None:
    """A damaged one is read, or refused in one line of ours."""
    with TemporaryDirectory() as folder:
        directory = write_adapter(Path(folder), **changes)
        if cut > 30:
            path = directory / "adapter_config.json"
            path.write_bytes(path.read_bytes()[: 30 - cut])
        refusal = ""
        num_read = 2
        try:
            adapter = read_adapter(directory)
            num_read = 2 * len(adapter.pairs) + len(adapter.unread)
        except UsageError as error:
            refusal = str(error)
    assert "\n" not in refusal
    assert 2 == num_read, "each tensor is in a pair or is named"
