"""What a cell's processes see of the world."""

from __future__ import annotations

from pathlib import Path

from harness.cells.variables import cell_environment


def test_a_cell_is_offline_with_one_thread_and_our_code_alone(tmp_path: Path) -> None:
    """The hub is off, one thread is used, and the import path is the given folder."""
    variables = cell_environment(scratch=tmp_path / "scratch", code=tmp_path / "code", environ={})

    assert {"1"} == {variables[f"{name}_OFFLINE"] for name in ("HF_HUB", "TRANSFORMERS", "HF_DATASETS")}
    assert ("1", "1") == (variables["OMP_NUM_THREADS"], variables["MKL_NUM_THREADS"])
    assert str(tmp_path / "code") == variables["PYTHONPATH"]
    assert Path(variables["HF_HOME"]).is_relative_to(tmp_path / "scratch")


def test_jax_is_held_to_one_thread_of_the_cpu_and_can_be_told_otherwise(tmp_path: Path) -> None:
    """Both unless somebody says more; a user's flags are kept, and stand last, where XLA lets them prevail."""
    plain = cell_environment(scratch=tmp_path, code=tmp_path, environ={})
    assert plain["JAX_PLATFORMS"] == "cpu"
    assert "--xla_cpu_multi_thread_eigen=false" in plain["XLA_FLAGS"].split()

    told = {"JAX_PLATFORMS": "cuda", "XLA_FLAGS": "--xla_dump_to=x --xla_cpu_multi_thread_eigen=true"}
    variables = cell_environment(scratch=tmp_path, code=tmp_path, environ=told)
    assert "cuda" == variables["JAX_PLATFORMS"]
    assert [*plain["XLA_FLAGS"].split(), *told["XLA_FLAGS"].split()] == variables["XLA_FLAGS"].split()


def test_what_jax_compiles_is_kept_for_as_long_as_the_process(tmp_path: Path) -> None:
    """In the folder that the process runs in, whatever the user's own is: of it nothing is taken, and nothing left."""
    variables = cell_environment(scratch=tmp_path, code=tmp_path, environ={"JAX_COMPILATION_CACHE_DIR": "/x"})
    folder = Path(variables["JAX_COMPILATION_CACHE_DIR"])
    assert not folder.is_absolute()
    assert [folder.name] == list(folder.parts)


def test_what_was_set_for_others_does_not_reach_a_cell(tmp_path: Path) -> None:
    """A user's settings and secrets stay outside; the path, the language and the temporary folder come along."""
    kept = {"PATH": "/bin", "LANG": "en_GB.UTF-8", "TMPDIR": "/var/tmp"}
    foreign = {"PYTHONPATH": "/x", "HF_TOKEN": "x", "PYTEST_ADDOPTS": "-x", "PYTHONDONTWRITEBYTECODE": "1"}

    variables = cell_environment(scratch=tmp_path, code=tmp_path, environ={**kept, **foreign, "HOME": "/home/x"})

    assert kept == {name: variables[name] for name in kept}
    assert {"PYTHONPATH"} == foreign.keys() & variables.keys()
    assert "/x" not in variables["PYTHONPATH"]
    assert str(tmp_path) == variables["HOME"]
