"""Programs compiled once are found again, by the next command too."""

import hashlib
import os
import pathlib
import platform

import jax


def keep_programs() -> None:
  """Keeps compiled programs on disk, apart for every kind of processor.

  They lie under JAX_COMPILATION_CACHE_DIR where it is set, else under the
  user's cache folder (XDG_CACHE_HOME).
  """
  caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
  folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
  folder = folder or os.path.join(caches, "unloc_jax", "programs")
  jax.config.update(
    "jax_compilation_cache_dir", os.path.join(folder, processor())
  )
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def processor() -> str:
  """Names what a program compiled for this host's processor may use.

  A program for another one may not run, and its figures may differ.
  """
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    lines = [platform.processor()]  # Not Linux.
  kinds = ("model name", "flags", "Features", "CPU part")
  said = sorted({line for line in lines if line.startswith(kinds)} or lines)
  digest = hashlib.sha256("\n".join(said).encode()).hexdigest()
  return f"{platform.machine()}-{digest[:12]}"
