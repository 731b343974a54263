"""Harmless: the same tensors in other files, in another order, under another header, through links."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.verify.fuzz.damage import Scene, damage, edit
from tests.verify.fuzz.directories import Files, Link, content
from tests.verify.fuzz.triples import WITH_EXPERTS
from tests.verify.fuzz.weights import (
    ADAPTER,
    INDEX,
    METADATA,
    WHOLE,
    Shards,
    Tensors,
    apart,
    framed,
    fuse,
    pack,
    shards_of,
    split,
    store,
    tensors_of,
    unpack,
)

WEIGHTS = ".safetensors"


def one_file(scene: Scene) -> tuple[Files, str]:
    """A directory, and a file with weights in it."""
    files = scene.side()
    return files, scene.pick(sorted(name for name in files if name.endswith(WEIGHTS) and "/" not in name))


def in_shards(scene: Scene, files: Files, tensors: Tensors, num_shards: int) -> None:
    """Store `tensors` in any order and any division among as many files."""
    names = [f"model-{number:05d}-of-{num_shards:05d}{WEIGHTS}" for number in range(1, num_shards + 1)]
    shards: Shards = {name: {} for name in names}
    for number, name in enumerate(scene.shuffled(sorted(tensors))):
        home = names[number] if number < num_shards else scene.pick(names)
        shards[home][name] = tensors[name]
    store(files, shards)


def sharded(scene: Scene) -> Files:
    """Base or merged, with an index."""
    files = scene.side("base", "merged")
    if INDEX not in files:
        in_shards(scene, files, tensors_of(files), 2)
    return files


@damage("harmless", is_layout=True)
def header_lists_in_another_order(scene: Scene) -> None:
    """The data stays where it is."""
    files, name = one_file(scene)
    header, data = apart(content(files, name))
    shuffled = {key: header[key] for key in scene.shuffled(sorted(header))}
    files[name] = framed(json.dumps(shuffled).encode(), data)


@damage("harmless", is_layout=True)
def header_with_more_spaces(scene: Scene) -> None:
    """Behind it, where the format has its padding; any number, so that the data is not aligned either."""
    files, name = one_file(scene)
    header, data = apart(content(files, name))
    text = json.dumps(header).encode() + b" " * scene.draw.randint(0, 5000)
    files[name] = len(text).to_bytes(8, "little") + text + data


@damage("harmless", is_layout=True)
def header_spelt_with_white_space(scene: Scene) -> None:
    """JSON may have line ends and tabs between its values, and letters as numbers."""
    files, name = one_file(scene)
    header, data = apart(content(files, name))
    text = json.dumps(header, indent=scene.pick(["\t", "\r\n", 3])).replace("model", r"\u006dodel")
    files[name] = framed(text.encode(), data)


@damage("harmless", is_layout=True)
def metadata_changed(scene: Scene) -> None:
    """Texts that no loader reads, or none at all."""
    files, name = one_file(scene)
    header, data = apart(content(files, name))
    header[METADATA] = scene.pick([{}, {"format": "pt", "by": "x" * 3000}, {"\u20ac\n": "\x00", "": ""}])
    if scene.draw.random() < 0.3:
        del header[METADATA]
    files[name] = framed(json.dumps(header, ensure_ascii=scene.pick([True, False])).encode(), data)


@damage("harmless", is_layout=True)
def tensors_in_another_order(scene: Scene) -> None:
    """In the data as in the header."""
    files, name = one_file(scene)
    tensors = unpack(content(files, name))
    names = scene.shuffled(sorted(tensors))
    files[name] = pack({key: tensors[key] for key in names}, order=scene.shuffled(names))


@damage("harmless", is_layout=True)
def divided_otherwise(scene: Scene) -> None:
    """Among up to a dozen shards."""
    files = scene.side("base", "merged")
    in_shards(scene, files, tensors_of(files), scene.draw.randint(1, 12))


@damage("harmless", is_layout=True)
def in_one_file(scene: Scene) -> None:
    """Without an index."""
    files = scene.side("base", "merged")
    store(files, {WHOLE: tensors_of(files)})


@damage("harmless", variants=WITH_EXPERTS, is_layout=True)
def experts_in_one_tensor(scene: Scene) -> None:
    """As transformers 5 holds them in memory."""
    _relaid(scene, fuse)


@damage("harmless", variants=WITH_EXPERTS, is_layout=True)
def experts_joined_in_some_layers(scene: Scene) -> None:
    """Some layers one way, others another."""
    _relaid(scene, lambda tensors: {**fuse(_of_layer(tensors, "0")), **_of_layer(tensors, "0", is_there=False)})


def _relaid(scene: Scene, relay: Callable[[Tensors], Tensors]) -> None:
    files = scene.side("base", "merged")
    is_whole = WHOLE in files
    tensors = relay(split(tensors_of(files)))
    if is_whole:
        store(files, {WHOLE: tensors})
    else:
        in_shards(scene, files, tensors, 3)


def _of_layer(tensors: Tensors, layer: str, *, is_there: bool = True) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if (f".layers.{layer}." in name) is is_there}


@damage("harmless", is_layout=True)
def index_with_another_total(scene: Scene) -> None:
    """No loader compares it with the files."""
    total = scene.pick([0, -1, 2**70, "much", 1.5, None, [1]])
    edit(sharded(scene), INDEX, lambda index: index["metadata"].update(total_size=total))


@damage("harmless", is_layout=True)
def index_without_a_total(scene: Scene) -> None:
    """A table of metadata there must be; what is in it is not read."""
    edit(sharded(scene), INDEX, lambda index: index.update(metadata={}))


@damage("harmless", is_layout=True)
def index_in_another_order(scene: Scene) -> None:
    """And with more in it than a loader reads."""
    files = sharded(scene)

    def change(index: dict[str, object]) -> None:
        weight_map = index["weight_map"]
        assert isinstance(weight_map, dict)
        index["weight_map"] = {name: weight_map[name] for name in scene.shuffled(sorted(weight_map))}
        index["written_by"] = ["somebody", {"else": None}]

    edit(files, INDEX, change)


@damage("harmless")
def tensor_in_two_shards_alike(scene: Scene) -> None:
    """The same values twice, as some tools leave shared tensors: a loader takes either."""
    files = sharded(scene)
    shards = shards_of(files)
    names = sorted(shards)
    if len(names) < 2:
        in_shards(scene, files, tensors_of(files), 2)
        shards = shards_of(files)
        names = sorted(shards)
    home, other = scene.draw.sample(names, 2)
    name = scene.pick(sorted(shards[home]))
    weight_map = {key: file for file in names for key in shards[file]}
    shards[other][name] = shards[home][name]
    store(files, shards)
    edit(files, INDEX, lambda index: index.update(weight_map=weight_map))


@damage("harmless", is_layout=True)
def files_behind_links(scene: Scene) -> None:
    """To files of the same directory, below it."""
    files = scene.side()
    place = f"kept{len(files)}"
    for name in scene.some(sorted(name for name in files if "/" not in name)):
        files[f"{place}/{name}"] = content(files, name)
        files[name] = Link(f"{place}/{name}")


@damage("harmless", is_layout=True)
def files_in_the_cache_of_the_hub(scene: Scene) -> None:
    """Every file is a link to a blob beside the snapshots."""
    files = scene.side()
    first = len(files)
    for number, name in enumerate(sorted(name for name in files if "/" not in name), start=first):
        files[f"../../blobs/{number:040x}"] = content(files, name)
        files[name] = Link(f"../../blobs/{number:040x}")


@damage("harmless", is_layout=True)
def further_files(scene: Scene) -> None:
    """What people put beside a model."""
    files = scene.side()
    more = {
        "README.md": b"\xff\xfe no text",
        "LICENSE": b"",
        ".gitattributes": b"*.safetensors filter=lfs",
        "images/picture.png": b"\x89PNG",
        "training_args.txt": b"{",
        "original/consolidated.00.pth": b"\x80\x02",
        ADAPTER.replace("adapter_model", "checkpoint/state"): b"of another",
        "\u00e9\u20ac strange name\n.txt": b"",
    }
    files.update({name: more[name] for name in scene.some(sorted(more))})
