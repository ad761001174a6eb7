"""Asks a corpus of videos on Apache Beam, a result file each.

Every worker process loads the model once. The model, videos and results have to
lie where all workers reach them.
"""

import functools
import json
import pathlib
import shlex
import threading
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from unloc_jax import files
from unloc_jax.use import formats
from unloc_jax.use.console import fault
from unloc_jax.use.requests import FAILED, Job, Request, ask_video
from unloc_jax.use.untrained import load

_LOCAL = ("--runner=FnApiRunner", "--direct_running_mode=in_memory")
_LOADING = threading.Lock()
_load = functools.cache(load)


def ask(
  model: tuple[str, ...],
  jobs: Sequence[Job],
  request: Request,
  form: str,
  out: str,
  options: str,
) -> list[str]:
  """Asks all videos; returns why some could not be asked, a line each.

  The model is what `load` takes. Options are the pipeline's, as on a command
  line; "" runs here. OUT/failed.jsonl lists what is missing.
  """
  failed = pathlib.Path(out, f"{FAILED}.jsonl")
  # What is wrong with the model or the question is said before any work.
  request.check(load(*model))
  flags = shlex.split(options) or list(_LOCAL)
  with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
    _ = (
      pipeline
      | "Videos" >> beam.Create(list(map(json.dumps, jobs)))
      | "Spread" >> beam.Reshuffle()
      | "Ask" >> beam.FlatMap(_ask, model, request, form, out)
      | "Gather" >> beam.combiners.ToList()
      | "Failures" >> beam.Map(_write_failures, str(failed))
    )
  lines = failed.read_text(encoding="utf-8").splitlines()
  return [json.loads(line)["error"] for line in lines]


def _ask(
  line: str, model: tuple[str, ...], request: Request, form: str, out: str
) -> list[str]:
  """Writes a result file, or returns why the video could not be asked."""
  job = Job(*json.loads(line))
  with _LOADING:
    localizer = _load(*model)
  try:
    moments = ask_video(localizer, job, request).moments
    text = formats.FORMATS[form](moments)
    files.write_text(pathlib.Path(out, job.result), text)
  except (ValueError, OSError) as error:
    return [fault(error)]
  return []


def _write_failures(errors: list[str], path: str) -> None:
  lines = [json.dumps({"error": line}) + "\n" for line in sorted(errors)]
  files.write_text(path, "".join(lines))
