"""Compiled programs are kept, apart for every kind of processor."""

import pathlib

import jax

from unloc_jax.parallel import compilation_cache

_CPU = "processor\t: {}\nmodel name\t: A\nflags\t\t: fpu {}\ncpu MHz\t\t: {}\n"


def test_processors_have_folders_of_their_own(monkeypatch, tmp_path):
  said: dict[str, object] = {}
  monkeypatch.setattr(jax.config, "update", said.__setitem__)

  def folder(info: str) -> pathlib.Path:
    monkeypatch.setattr(pathlib.Path, "read_text", lambda path: info)
    compilation_cache.keep_programs()
    return pathlib.Path(str(said["jax_compilation_cache_dir"]))

  monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
  one = folder(_CPU.format(0, "avx2", 2100))
  assert one.parent == tmp_path
  # Neither how many cores there are nor how fast they are just now counts.
  again = _CPU.format(0, "avx2", 1800) + _CPU.format(1, "avx2", 3000)
  assert folder(again) == one
  assert folder(_CPU.format(0, "avx2 avx512f", 2100)) != one
  monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
  programs = tmp_path / "home" / "unloc_jax" / "programs"
  assert folder(again).parent == programs
