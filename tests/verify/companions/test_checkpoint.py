"""Tests of opening a checkpoint: which files count, what is refused, and what is found where a loader says nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.checkpoints.safetensors_file import INDEX_FILE, SINGLE_FILE, read_tensor, write_file
from harness.errors import ArtifactError
from harness.verify.companions.checkpoint import open_checkpoint
from tests.verify.companions.builders import EMBEDDING, HEAD, NORM, SHARD_BYTES, edit, graves, kinds, tensors, write

FIRST, LAST = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
Damage = Callable[[Path], object]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A checkpoint of two shards."""
    return write(tmp_path / "shards", shard_bytes=SHARD_BYTES)


@pytest.mark.parametrize("shard_bytes", [None, SHARD_BYTES], ids=["whole", "shards"])
def test_a_sound_checkpoint_has_no_findings(tmp_path: Path, shard_bytes: int | None) -> None:
    """All tensors, the configuration and the files are there, whether it is one file or shards."""
    checkpoint = open_checkpoint(write(tmp_path / "c", shard_bytes=shard_bytes))
    assert () == checkpoint.findings
    assert {EMBEDDING, HEAD, NORM} == set(checkpoint.entries)
    assert "qwen3_moe" == checkpoint.config["model_type"]
    assert "config.json" in checkpoint.files


def index(change: Callable[[dict[str, str]], object]) -> Damage:
    """Changes the weight map."""
    return lambda directory: edit(directory / INDEX_FILE, lambda content: change(content["weight_map"]))


def drop_metadata(directory: Path) -> None:
    """An index without sizes."""
    edit(directory / INDEX_FILE, lambda content: content.pop("metadata"))


def drop_index(directory: Path) -> None:
    """Shards that nothing names."""
    (directory / INDEX_FILE).unlink()


def add_whole(directory: Path) -> None:
    """The whole checkpoint beside its shards."""
    write_file(directory / SINGLE_FILE, tensors())


def add_stale(directory: Path) -> None:
    """A shard of an earlier save."""
    shutil.copy(directory / FIRST, directory / "model-00001-of-00003.safetensors")


def rename(directory: Path) -> None:
    """A whole file by another name."""
    drop_index(directory)
    for name in (FIRST, LAST):
        (directory / name).unlink()
    write_file(directory / "weights.safetensors", tensors())


def name_weights(directory: Path) -> None:
    """A configuration that names its weights."""
    edit(directory / "config.json", lambda content: content.update(transformers_weights=FIRST))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (add_whole, "beside"),
        (index(lambda weight_map: weight_map.update(lost=FIRST)), "no shard has (1): lost"),
        (index(lambda weight_map: weight_map.update({NORM: FIRST, EMBEDDING: LAST})), "wrong shard"),
        (index(lambda weight_map: weight_map.pop(NORM)), "does not list"),
        (drop_metadata, "no metadata"),
        (drop_index, "does not find"),
        (rename, "does not find weights.safetensors"),
        (add_stale, "nothing names"),
        (name_weights, "names its weights itself"),
    ],
    ids=["both", "lost", "misplaced", "unlisted", "metadata", "no index", "name", "stale", "own name"],
)
def test_what_loaders_take_differently_is_an_index_mismatch(shards: Path, damage: Damage, words: str) -> None:
    """An error in a merged checkpoint, and a warning in a base, which the merge found so."""
    damage(shards)
    found = open_checkpoint(shards).findings
    assert {"index_mismatch"} == kinds(found)
    assert any(words in finding.message for finding in found)
    of_base = open_checkpoint(shards, role="base").findings
    assert {"warning"} == {severity for severity, _ in graves(of_base)}
    assert all(finding.message.startswith("base: ") for finding in of_base)


def test_the_whole_file_goes_before_the_index(shards: Path) -> None:
    """As transformers does it: with both there, the tensors are those of the whole file."""
    add_whole(shards)
    assert {SINGLE_FILE} == {entry.path.name for entry in open_checkpoint(shards).entries.values()}


def test_a_tensor_that_no_shard_has_is_not_an_entry(shards: Path) -> None:
    """The index's word alone makes no tensor, so that what is missing can be seen."""
    index(lambda weight_map: weight_map.update(lost=FIRST))(shards)
    assert "lost" not in open_checkpoint(shards).entries


def test_another_total_size_is_a_warning(shards: Path) -> None:
    """Loaders do not go by it, so that it alone decides nothing."""
    edit(shards / INDEX_FILE, lambda content: content["metadata"].update(total_size=7))
    [finding] = open_checkpoint(shards).findings
    assert ("index_mismatch", "warning", "7") == (finding.kind, finding.severity, finding.got)


@pytest.mark.parametrize(("factor", "severity"), [(1.0, "warning"), (2.0, "error")])
def test_a_tensor_in_two_shards_is_found(shards: Path, factor: float, severity: str) -> None:
    """With the same values it is a warning, with others an error; the later file counts, as in loading."""
    numbers = tensors()[EMBEDDING][1]
    write_file(shards / LAST, {HEAD: tensors()[HEAD], EMBEDDING: ("F32", numbers * np.float32(factor))})
    found = open_checkpoint(shards)
    [duplicate] = [finding for finding in found.findings if finding.tensor == EMBEDDING]
    assert ("tensor_duplicated", severity) == (duplicate.kind, duplicate.severity)
    assert np.array_equal(numbers * factor, read_tensor(found.entries[EMBEDDING]))


@pytest.mark.parametrize(
    ("names", "severity"),
    [(["adapter_config.json", "adapter_model.safetensors"], "warning"), (["adapter_model.safetensors"], "note")],
)
def test_an_adapter_left_inside_is_said(merged: Path, names: list[str], severity: str) -> None:
    """Its configuration makes transformers load it again; its weights alone are lumber."""
    for name in names:
        (merged / name).write_text("{}", encoding="utf-8")
    [finding] = open_checkpoint(merged).findings
    assert ("index_mismatch", severity) == (finding.kind, finding.severity)


def test_a_missing_configuration_is_a_finding_of_merged_alone(merged: Path) -> None:
    """A merged checkpoint that lacks it is incomplete; without that of base nothing can be judged."""
    (merged / "config.json").unlink()
    assert {"config_mismatch"} == kinds(open_checkpoint(merged).findings)
    with pytest.raises(ArtifactError, match=r"no config\.json"):
        open_checkpoint(merged, role="base")


def only(*names: str) -> Damage:
    """Nothing but these files, empty, beside the configuration."""

    def change(directory: Path) -> None:
        for path in directory.iterdir():
            if path.name != "config.json":
                path.unlink()
        for name in names:
            (directory / name).write_bytes(b"")

    return change


def outward_link(directory: Path) -> None:
    """A link to a file elsewhere."""
    elsewhere = directory.parent / "elsewhere.safetensors"
    shutil.move(directory / FIRST, elsewhere)
    (directory / FIRST).symlink_to(elsewhere)


def pipe(directory: Path) -> None:
    """A pipe that nobody writes to."""
    (directory / FIRST).unlink()
    os.mkfifo(directory / FIRST)


def folder(directory: Path) -> None:
    """A folder in the place of a file."""
    (directory / FIRST).unlink()
    (directory / FIRST).mkdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (only("pytorch_model.bin"), "in pickles only: pytorch_model.bin.*Pickles are never loaded"),
        (only("adapter_model.safetensors"), "is an adapter"),
        (only(), "no \\*.safetensors"),
        (index(lambda weight_map: weight_map.update(x="../x.safetensors")), "out of the directory"),
        (index(lambda weight_map: weight_map.update(x=3)), "out of the directory"),
        (index(lambda weight_map: weight_map.update(x="pytorch_model.bin")), "no .safetensors"),
        (index(lambda weight_map: weight_map.update(x="gone.safetensors")), "not there"),
        (index(lambda weight_map: weight_map.clear()), "no weight_map"),
        (lambda directory: (directory / FIRST).write_bytes(b"x"), "header length"),
        (outward_link, "leads out"),
        (pipe, "not a plain file"),
        (folder, "is a directory"),
    ],
    ids=["pickle", "adapter", "empty", "path", "number", "bin", "gone", "no map", "damaged", "link", "pipe", "folder"],
)
def test_what_is_no_checkpoint_is_refused(shards: Path, damage: Damage, words: str) -> None:
    """One clear error that names the directory, with no pickle loaded and nothing read from elsewhere."""
    damage(shards)
    with pytest.raises(ArtifactError, match=words) as raised:
        open_checkpoint(shards)
    assert str(shards) in str(raised.value)


def test_a_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    """A path to nothing, or to a file, says so."""
    with pytest.raises(ArtifactError, match="not there"):
        open_checkpoint(tmp_path / "nothing")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ArtifactError, match="not a directory"):
        open_checkpoint(tmp_path / "file")


def test_a_snapshot_of_the_hub_is_read_through_its_links(tmp_path: Path) -> None:
    """The hub's cache keeps files as links to blobs beside the snapshots: these alone may lead out."""
    blobs, snapshot = tmp_path / "models--x" / "blobs", tmp_path / "models--x" / "snapshots" / "abc"
    write(blobs)
    snapshot.mkdir(parents=True)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    assert () == open_checkpoint(snapshot).findings
    (tmp_path / "models--x" / "secret").write_text(json.dumps({}), encoding="utf-8")
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to("../../secret")
    with pytest.raises(ArtifactError, match="leads out"):
        open_checkpoint(snapshot)


def test_a_link_within_its_directory_is_read(merged: Path) -> None:
    """A file under a second name in the same directory is no way out."""
    (merged / "config.json").rename(merged / "real.json")
    (merged / "config.json").symlink_to("real.json")
    assert "qwen3_moe" == open_checkpoint(merged).config["model_type"]
