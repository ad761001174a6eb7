"""Asks a corpus of videos on Apache Beam, a result file each.

Every worker process loads the model once. Export, videos and results have to
lie where all workers reach them.
"""

import json
import pathlib
import shlex
import threading
from collections.abc import Iterator, Mapping

import apache_beam as beam
from apache_beam.options import pipeline_options

from unloc_jax.localizer import Localizer
from unloc_jax.use import formats
from unloc_jax.use.requests import Request, ask_video, write

FAILED = "failed.jsonl"
_LOCAL = ("--runner=FnApiRunner", "--direct_running_mode=in_memory")
_LOADED: dict[str, Localizer] = {}
_LOADING = threading.Lock()


class AskVideo(beam.DoFn):
  """(video, file name) -> a result file; yields why a video could not be.

  Args:
    export: Folder of the exported model.
    request: What is asked.
    form: Key of `formats.FORMATS`.
    out: Folder of the results.
  """

  def __init__(self, export: str, request: Request, form: str, out: str):
    self._export, self._request = export, request
    self._form, self._out = form, out

  def setup(self) -> None:
    """Loads the model, unless another thread has."""
    with _LOADING:
      if self._export not in _LOADED:
        _LOADED[self._export] = Localizer.from_export(self._export)

  def process(self, job: tuple[str, str]) -> Iterator[str]:
    """Asks one video."""
    path, name = job
    try:
      found = ask_video(_LOADED[self._export], path, self._request)
    except ValueError as error:
      yield str(error)
      return
    text = formats.FORMATS[self._form](found.moments)
    write(text, pathlib.Path(self._out) / name)


def ask(
  export: str,
  jobs: Mapping[str, str],
  request: Request,
  form: str,
  out: str,
  options: str,
) -> list[str]:
  """Asks all videos; returns why some could not be asked, a line each.

  Args:
    export: Folder of the exported model.
    jobs: {path of a video: name of its result file}.
    request: What is asked.
    form: Key of `formats.FORMATS`.
    out: Folder of the results; OUT/failed.jsonl lists what is missing.
    options: Of the pipeline, as on a command line; "" runs here.
  """
  folder = pathlib.Path(out)
  # What is wrong with the model or the question is said before any work.
  localizer = Localizer.from_export(export)
  if not request.queries:
    localizer.known_labels(request.labels)
  flags = shlex.split(options) or list(_LOCAL)
  parsed = pipeline_options.PipelineOptions(flags)
  with beam.Pipeline(options=parsed) as pipeline:
    _ = (
      pipeline
      | "Videos" >> beam.Create(list(jobs.items()))
      | "Spread" >> beam.Reshuffle()
      | "Ask" >> beam.ParDo(AskVideo(export, request, form, out))
      | "Gather" >> beam.combiners.ToList()
      | "Failures" >> beam.Map(_write_failures, str(folder / FAILED))
    )
  lines = (folder / FAILED).read_text(encoding="utf-8").splitlines()
  return [json.loads(line)["error"] for line in lines]


def _write_failures(errors: list[str], path: str) -> None:
  text = "".join(json.dumps({"error": line}) + "\n" for line in sorted(errors))
  write(text, pathlib.Path(path))
