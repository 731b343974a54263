"""Malformed: an index of shards that leads elsewhere, or says what is not so."""

from __future__ import annotations

from typing import Any

from tests.verify.fuzz.damage import Scene, damage, edit
from tests.verify.fuzz.damages.layouts import in_shards, sharded
from tests.verify.fuzz.directories import Files, Link, Special, content
from tests.verify.fuzz.weights import INDEX, WHOLE, Tensors, pack, shards_of, tensors_of

OUTSIDE = (
    "../../../base/snapshots/1/model-00001-of-00002.safetensors", "../../../secret.safetensors", "/dev/zero", "/etc/x",
    "/dev/zero.safetensors", "..", ".", "", "\\\\server\\share\\x.safetensors", "..\\x.safetensors", "C:x.safetensors",
    "model\0.safetensors", "a/../../x.safetensors", "./model.safetensors", "sub/model.safetensors",
    "\ud800.safetensors", "x" * 300 + ".safetensors", "nowhere.safetensors", "config.json", INDEX, "pytorch_model.bin",
    ".safetensors",
)  # fmt: skip
"""Names that no index may have."""


def _sharded(scene: Scene) -> Files:
    """A directory with an index of two shards at least."""
    files = sharded(scene)
    if len(shards_of(files)) < 2:
        in_shards(scene, files, tensors_of(files), 2)
    return files


def _map(scene: Scene, change: Any) -> None:
    edit(_sharded(scene), INDEX, lambda index: change(index["weight_map"]))


@damage("malformed")
def index_leads_out(scene: Scene) -> None:
    """By one name or by all."""
    target = scene.pick(OUTSIDE)

    def lead(weight_map: dict[str, str]) -> None:
        for name in scene.some(sorted(weight_map)):
            weight_map[name] = target

    _map(scene, lead)


@damage("malformed")
def index_of_no_texts(scene: Scene) -> None:
    """Where names of files should be."""
    value = scene.pick([None, 1, [], ["model.safetensors"], {}, True])
    _map(scene, lambda weight_map: weight_map.update({scene.pick(sorted(weight_map)): value}))


@damage("malformed")
def index_without_a_map(scene: Scene) -> None:
    """Or with one that is none."""
    value = scene.pick([None, [], {}, "model.safetensors", 1])
    edit(_sharded(scene), INDEX, lambda index: index.update(weight_map=value))


@damage("malformed")
def index_that_is_none(scene: Scene) -> None:
    """Other JSON, or none."""
    _sharded(scene)[INDEX] = scene.pick([b"", b"[]", b"null", b"{", b'{"weight_map": {}', b"\xff", b'{"a": 1, "a": 1}'])


@damage("malformed")
def index_twice_the_same_name(scene: Scene) -> None:
    """In the map itself."""
    files = _sharded(scene)
    text = content(files, INDEX).decode()
    name = sorted(shards_of(files))[0]
    files[INDEX] = text.replace('"weight_map": {', f'"weight_map": {{"model.norm.weight": "{name}", ', 1).encode()


@damage("malformed")
def a_shard_lost(scene: Scene) -> None:
    """That the index names, or a folder, a pipe or a broken link in its place."""
    files = _sharded(scene)
    name = scene.pick(sorted(shards_of(files)))
    instead = scene.pick([None, Special.FOLDER, Special.PIPE, Link("nothing"), Link(name), b""])
    del files[name]
    if instead is not None:
        files[name] = instead


def _harmful_index(scene: Scene) -> Files:
    """Merged, sharded."""
    files = scene.triple["merged"]
    if INDEX not in files or len(shards_of(files)) < 2:
        in_shards(scene, files, tensors_of(files), 3)
    return files


@damage("harmful", "INCOMPLETE", "PARTIAL", "REFUSED")
def index_of_other_shards(scene: Scene) -> None:
    """Every name there, some at the wrong place, so that loaders that go by it fail."""
    files = _harmful_index(scene)
    names = sorted(shards_of(files))

    def exchange(index: dict[str, Any]) -> None:
        weight_map = index["weight_map"]
        for name in scene.some(sorted(weight_map)):
            weight_map[name] = scene.pick([file for file in names if file != weight_map[name]])

    edit(files, INDEX, exchange)


@damage("harmful", "INCOMPLETE", "PARTIAL", "REFUSED")
def index_of_more_or_less(scene: Scene) -> None:
    """Tensors that no shard has, or fewer than the shards have."""
    files = _harmful_index(scene)

    def change(index: dict[str, Any]) -> None:
        weight_map = index["weight_map"]
        name = scene.pick(sorted(weight_map))
        weight_map["model.further.weight"] = weight_map[name]
        if scene.draw.random() < 0.5:
            del weight_map["model.further.weight"], weight_map[name]

    edit(files, INDEX, change)


@damage("harmful", "INCOMPLETE")
def index_without_metadata(scene: Scene) -> None:
    """Which transformers refuses."""
    edit(_harmful_index(scene), INDEX, lambda index: index.pop("metadata"))


@damage("harmful")
def index_beside_a_whole_file(scene: Scene) -> None:
    """Which of the two counts?"""
    files = _harmful_index(scene)
    held: Tensors = tensors_of(files)
    some = {name: held[name] for name in scene.some(sorted(held))}
    files[WHOLE] = pack(scene.pick([held, some]))


@damage("harmful")
def a_shard_that_nothing_names(scene: Scene) -> None:
    """Of an earlier save: some loaders read every file."""
    files = _harmful_index(scene)
    old = tensors_of(scene.triple["base"])
    files["model-00009-of-00009.safetensors"] = pack(old)
