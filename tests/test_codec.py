"""Records to JSON and back: nothing is guessed, nothing is passed over."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.codec import decode, dumps, encode, read_json
from harness.errors import ArtifactError, CaseError
from harness.records.cases import AdapterSpec, Case, Family, KnownOutcome, Matrix
from harness.records.jobs import Answer, Batch, Event
from harness.records.results import Check, Finding, Location, Measured, Measurement, Missing, PackageDelta
from tests.observations import FAMILIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """One of two shapes."""

    kind_tag: ClassVar[str] = "circle"
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """The other."""

    kind_tag: ClassVar[str] = "square"
    side: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A field of every sort."""

    text: str = ""
    number: int = 0
    share: float = 0.0
    flag: bool = False
    colour: Literal["red", "blue"] = "red"
    words: tuple[str, ...] = ()
    pair: tuple[int, str] = (0, "")
    table: Mapping[str, int] = field(default_factory=dict)
    anything: Any = None
    maybe: int | None = None
    either: tuple[int, ...] | str = ""
    shape: Circle | Square = field(default_factory=lambda: Circle(radius=1.0))
    inner: Location = field(default_factory=Location)


def load(**values: object) -> Sample:
    """A sample from these values, as from a file called here."""
    return decode(Sample, values, where="here")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"colr": 1}, ["here: unknown key 'colr'", "colour", "anything"], id="unknown key"),
        pytest.param({"text": 1}, ["here: text: wrong type", "expected str", "got 1"], id="number for a text"),
        pytest.param({"number": "1"}, ["number", "expected int", "got '1'"], id="text for a number"),
        pytest.param({"number": True}, ["number", "expected int", "got bool"], id="flag for a number"),
        pytest.param({"number": 1.0}, ["number", "expected int"], id="share for a number"),
        pytest.param({"share": False}, ["share", "expected float", "got bool"], id="flag for a share"),
        pytest.param({"share": math.nan}, ["share: not a finite number"], id="NaN"),
        pytest.param({"share": math.inf}, ["share: not a finite number"], id="infinity"),
        pytest.param({"share": 10**400}, ["share: not a finite number"], id="more than a float holds"),
        pytest.param({"flag": 1}, ["flag", "expected bool"], id="number for a flag"),
        pytest.param({"flag": None}, ["flag", "expected bool", "None"], id="nothing for a flag"),
        pytest.param({"colour": "green"}, ["colour: unknown value", "one of red, blue", "'green'"], id="literal"),
        pytest.param({"colour": ["red"]}, ["colour: unknown value"], id="list for a literal"),
        pytest.param({"words": "red"}, ["words: wrong type", "a list", "got str"], id="text for a list"),
        pytest.param({"words": ["a", 2]}, ["words[1]: wrong type", "got 2"], id="an item of a list"),
        pytest.param({"pair": [1]}, ["pair: wrong length", "expected 2", "got 1"], id="too few"),
        pytest.param({"pair": ["a", "b"]}, ["pair[0]", "expected int"], id="a pair's first"),
        pytest.param({"table": []}, ["table: wrong type", "a table"], id="list for a table"),
        pytest.param({"table": {"a": "b"}}, ["table.a: wrong type", "expected int"], id="a table's value"),
        pytest.param({"maybe": "x"}, ["maybe: wrong type"], id="neither of a union"),
        pytest.param({"maybe": True}, ["maybe", "bool"], id="flag for a number or nothing"),
        pytest.param({"shape": {"radius": 1}}, ["shape: unknown type", "circle, square", "got None"], id="no tag"),
        pytest.param({"shape": {"type": "oval"}}, ["shape: unknown type", "'oval'"], id="unknown tag"),
        pytest.param(
            {"shape": {"type": "square", "radius": 1}}, ["unknown key 'radius'", "side"], id="another's field"
        ),
        pytest.param({"shape": {"type": "square"}}, ["shape: key 'side' is missing"], id="a field is missing"),
        pytest.param({"shape": 1}, ["shape: wrong type", "a table"], id="number for a record"),
        pytest.param({"inner": {"tensr": ""}}, ["inner: unknown key 'tensr'"], id="unknown key inside"),
        pytest.param({"inner": None}, ["inner: wrong type"], id="nothing for a record"),
    ],
)
def test_what_does_not_fit_is_an_error_with_its_place(values: dict[str, object], words: list[str]) -> None:
    """Where, what was expected, what was there; in the exception type that was asked for. Without it, it loads."""
    assert Sample() == load()
    for error in (ArtifactError, CaseError):
        with pytest.raises(error) as raised:
            decode(Sample, values, where="here", error=error)
        for word in words:
            assert word in str(raised.value)


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        pytest.param({"share": 2}, "share", 2.0, id="a whole number is a share"),
        pytest.param({"words": ["a", "b"]}, "words", ("a", "b"), id="a list is a tuple"),
        pytest.param({"pair": [1, "a"]}, "pair", (1, "a"), id="a pair"),
        pytest.param({"maybe": None}, "maybe", None, id="nothing"),
        pytest.param({"maybe": 3}, "maybe", 3, id="or a number"),
        pytest.param({"either": "all"}, "either", "all", id="the second of a union"),
        pytest.param({"either": [1, 2]}, "either", (1, 2), id="the first of a union"),
        pytest.param({"shape": {"type": "square", "side": 1}}, "shape", Square(side=1.0), id="by its tag"),
        pytest.param({"anything": {"a": [1]}}, "anything", {"a": [1]}, id="anything is left as it is"),
    ],
)
def test_what_fits_has_its_type(values: dict[str, object], name: str, expected: object) -> None:
    """Also the type of a number: 2 where a share is expected is 2.0."""
    found = getattr(load(**values), name)
    assert (expected, type(expected)) == (found, type(found))


@pytest.mark.parametrize(
    "record_type", [Case, Matrix, KnownOutcome, Answer, Batch, Check, PackageDelta], ids=lambda each: each.__name__
)
def test_a_key_that_has_no_default_must_be_there(record_type: type) -> None:
    """Nothing is made up: an empty table says which key is missing."""
    with pytest.raises(ArtifactError, match=r"here: key '\w+' is missing"):
        decode(record_type, {}, where="here")


@pytest.mark.parametrize("value", [[], "text", 3, None], ids=str)
def test_a_record_is_a_table(value: object) -> None:
    """And nothing else."""
    with pytest.raises(ArtifactError, match="here: wrong type; expected a table"):
        decode(Case, value, where="here")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_cannot_be_recorded(number: float) -> None:
    """Wherever they are: alone, in a record, in a list, in a table."""
    measured = Measured(metric="m", value=number, unit="nats", num_compared=1)
    for value in (number, measured, [measured], {"a": (number,)}, Answer(job="j", notes={"a": number})):
        with pytest.raises(ValueError, match="use Missing with a reason"):
            encode(value)
        with pytest.raises(ValueError, match="use Missing with a reason"):
            dumps(value)


def test_what_has_no_json_form_is_an_error() -> None:
    """Bytes, sets and classes are not turned into texts."""
    for value in (b"bytes", {1, 2}, Case, Path("x")):
        with pytest.raises(TypeError, match="has no JSON form"):
            encode(value)


def test_equal_records_have_equal_texts() -> None:
    """Whatever the order of their tables; other records have other texts."""
    one, other = (Answer(job="j", timings_s=timings) for timings in ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}))
    assert dumps(one) == dumps(other)
    assert dumps(one) != dumps(Answer(job="j"))


def test_records_of_a_union_carry_their_tag_alone() -> None:
    """A tag is written where it is needed to tell them apart, and read again."""
    measured, missing = Measured(metric="m", value=1, unit="u", num_compared=1), Missing(metric="m", reason="r")
    assert ("measured", "missing") == (encode(measured)["type"], encode(missing)["type"])
    assert "type" not in encode(Location())


texts = st.text(max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
measurements = st.one_of(
    st.builds(Measured, metric=texts, value=finite, unit=texts, num_compared=st.integers()),
    st.builds(Missing, metric=texts, reason=texts),
)
locations = st.builds(
    Location, tensor=texts, layer=st.none() | st.integers(), expert=st.none() | st.integers(min_value=0)
)
findings = st.builds(
    Finding, kind=texts, message=texts, where=locations, expected=texts, got=texts, num_alike=st.integers()
)
answers = st.builds(
    Answer,
    job=texts,
    versions=st.dictionaries(texts, texts),
    warnings=st.lists(texts).map(tuple),
    losses=st.lists(finite).map(tuple),
    timings_s=st.dictionaries(texts, finite),
)
adapters = st.builds(
    AdapterSpec,
    adapt=st.lists(texts, min_size=1).map(tuple),
    rank=st.integers(1, 99),
    rank_pattern=st.dictionaries(texts, st.integers()),
    rslora=st.booleans(),
    init=st.sampled_from(["peft", "random"]),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Records of several types."""

    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...]
    answer: Answer
    adapter: AdapterSpec


bundles = st.builds(
    Bundle,
    measurements=st.lists(measurements, max_size=3).map(tuple),
    findings=st.lists(findings, max_size=3).map(tuple),
    answer=answers,
    adapter=adapters,
)


@given(bundles)
def test_records_come_back_as_they_were(bundle: Bundle) -> None:
    """Through text and back, whatever is in them."""
    text = dumps(bundle)
    assert bundle == decode(Bundle, json.loads(text), where="here")
    assert text == dumps(decode(Bundle, json.loads(text), where="here"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from([*Sample.__dataclass_fields__, "other"])


@given(st.dictionaries(names, json_values, max_size=4))
def test_any_values_are_a_record_or_an_error(values: dict[str, object]) -> None:
    """Never another exception; and what is accepted can be written again, but for what was left as it is."""
    try:
        sample = load(**values)
    except ArtifactError:
        return
    if "anything" not in values:
        assert sample == decode(Sample, json.loads(dumps(sample)), where="here")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"job": NaN}', b"1" * 5000],
    ids=["empty", "cut short", "no text", "deep", "NaN", "long"],
)
def test_a_file_that_holds_no_record_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    """With the file's name, and no other exception."""
    path = tmp_path / "event.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"event\.json"):
        read_json(Event, path)
    with pytest.raises(ArtifactError, match=r"none\.json"):
        read_json(Event, tmp_path / "none.json")


def test_a_file_that_holds_a_record_is_read(tmp_path: Path) -> None:
    """As it was written."""
    event = Event(job="case@r1", state="started", at_s=1.5)
    (tmp_path / "event.json").write_text(dumps(event), encoding="utf-8")
    assert event == read_json(Event, tmp_path / "event.json")


def test_every_family_of_ours_has_a_json_form() -> None:
    """Families travel to cells as JSON: what TOML holds (dates, say) and JSON does not would stop there."""
    for family in FAMILIES.values():
        assert family == decode(Family, json.loads(dumps(family)), where="here")
