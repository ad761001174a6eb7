"""Asks a corpus of videos on Apache Beam, a result file each.

Every worker process loads the model once. Export, videos and results have to
lie where all workers reach them.
"""

import functools
import json
import pathlib
import shlex
import threading
from collections.abc import Mapping

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from unloc_jax import files
from unloc_jax.use import formats
from unloc_jax.use.localizer import Localizer
from unloc_jax.use.requests import Request, ask_video

_LOCAL = ("--runner=FnApiRunner", "--direct_running_mode=in_memory")
_LOADING = threading.Lock()
_load = functools.cache(Localizer.from_export)


def ask(
  export: str,
  jobs: Mapping[str, str],
  request: Request,
  form: str,
  out: str,
  options: str,
) -> list[str]:
  """Asks all videos; returns why some could not be asked, a line each.

  Jobs are {path of a video: name of its result file in OUT}. Options are the
  pipeline's, as on a command line; "" runs here. OUT/failed.jsonl lists what
  is missing.
  """
  failed = pathlib.Path(out, "failed.jsonl")
  # What is wrong with the model or the question is said before any work.
  request.check(Localizer.from_export(export))
  flags = shlex.split(options) or list(_LOCAL)
  with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
    _ = (
      pipeline
      | "Videos" >> beam.Create(list(jobs.items()))
      | "Spread" >> beam.Reshuffle()
      | "Ask" >> beam.FlatMap(_ask, export, request, form, out)
      | "Gather" >> beam.combiners.ToList()
      | "Failures" >> beam.Map(_write_failures, str(failed))
    )
  lines = failed.read_text(encoding="utf-8").splitlines()
  return [json.loads(line)["error"] for line in lines]


def _ask(
  job: tuple[str, str], export: str, request: Request, form: str, out: str
) -> list[str]:
  """Writes a result file, or returns why the video could not be asked."""
  with _LOADING:
    localizer = _load(export)
  try:
    moments = ask_video(localizer, job[0], request).moments
  except ValueError as error:
    return [str(error)]
  files.write_text(pathlib.Path(out, job[1]), formats.FORMATS[form](moments))
  return []


def _write_failures(errors: list[str], path: str) -> None:
  lines = [json.dumps({"error": line}) + "\n" for line in sorted(errors)]
  files.write_text(path, "".join(lines))
