"""The TFDS builder: one class for every benchmark, frames and features.

Beam deals out videos. A process makes the example of each, in a file beside
the output, and hands back nothing; then Beam deals out shards, for which these
files are read one by one. So memory does not grow with the data, and a build
that was killed finds what it made.
"""

import concurrent.futures
import contextlib
import dataclasses
import fcntl
import hashlib
import os
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import dataset_builder

from data_preprocessing import beam_runner, cache, schema, shard_writer
from data_preprocessing import report as reports
from data_preprocessing.build_plan import Plan
from data_preprocessing.examples import Outcome
from data_preprocessing.lookup import VideoJob
from data_preprocessing.settings import BuildError
from unloc_jax import files
from unloc_jax.data import manifest as manifests

_THREADS = 32
# Split -> the file of each example -> what became of its video.
Made = dict[str, dict[epath.Path, Outcome]]


class VideoDataset(dataset_builder.FileReaderBuilder, skip_registration=True):  # type: ignore[call-arg]
  """A benchmark of videos as a TFDS dataset, as its plan says.

  Attributes:
    report: What became of every video; {} before it is built.
  """

  VERSION = tfds.core.Version(schema.VERSION)

  def __init__(self, plan: Plan, runner: beam_runner.Runner, most: float):
    """Opens nothing; `download_and_prepare` builds.

    It stops where more than `most` videos are missing or broken.
    """
    self.name = plan.final.parent.name
    self.plan = plan
    self.report: dict[str, Any] = {}
    self._runner = runner
    self._most = most
    super().__init__(data_dir=str(plan.final.parent.parent))

  def _info(self) -> tfds.core.DatasetInfo:
    source = self.plan.source
    return tfds.core.DatasetInfo(
      builder=self,
      description=f"{self.plan.benchmark.title}, one example a video.",
      features=schema.features(
        source.extract,
        source.embedding_width,
        source.sound_width,
        source.text_width,
      ),
      disable_shuffling=False,
    )

  def _make_download_manager(self, **_: Any) -> Any:
    """Returns a manager that has downloaded nothing: the files are here."""
    return types.SimpleNamespace(downloaded_size=0)

  def _log_download_bytes(self) -> None:
    """Says nothing of downloads."""

  _log_download_done = _log_download_bytes

  def _download_and_prepare(
    self, dl_manager: Any, download_config: Any
  ) -> None:
    """Makes the examples, judges what is left out, writes the shards."""
    # What cannot become true later is said before the long work.
    self._judge({})
    made = self._made()
    self._judge(made)
    folder = epath.Path(self.data_dir)
    self.info.set_splits(tfds.core.SplitDict(self._write(folder, made)))
    self._finish(folder)

  def _made(self) -> Made:
    """Makes the examples that are not there yet; what became of the videos."""
    plan, stall_seconds = self.plan, self._runner.stall_seconds
    if jobs := [job for split in plan.jobs.values() for job in split]:
      lists = cache.list_jobs(plan.work / "lists", jobs)
      videos = "Videos" >> beam.FlatMap(cache.listed_jobs)
      make = beam_runner.MakeExample(
        plan.settings, str(plan.work), stall_seconds
      )
      steps = videos, "Make" >> beam.ParDo(make)
      beam_runner.run(self._runner, "decoded", len(jobs), lists, *steps)

    def read(job: VideoJob) -> tuple[epath.Path, Outcome]:
      path = cache.example_file(str(plan.work), job, plan.settings)
      outcome = cache.outcome(path)
      if outcome is None:
        raise BuildError(
          f"{path}: the example of {job.name} is not there; run the same"
          " command to go on"
        )
      return path, outcome

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:
      return {
        split: dict(threads.map(read, jobs))
        for split, jobs in sorted(plan.jobs.items())
      }

  def _judge(self, made: Made) -> None:
    """Writes the report so far, and stops the build where it must."""
    plan = self.plan
    outcomes = {
      split: sorted(
        [*absent, *made.get(split, {}).values()], key=lambda o: o.video_id
      )
      for split, absent in plan.absent.items()
    }
    self.report = reports.build_report(
      plan.benchmark, plan.annotations, outcomes
    )
    reports.write(plan.work, self.report)
    out = sum(reports.left_out(self.report).values())
    total = len(plan.annotations.videos)
    if out > self._most:
      raise BuildError(
        f"{out} of {total} videos are missing or broken, --max-missing allows"
        f" {self._most:g}; see {plan.work / 'report.md'}"
      )

  def _write(self, folder: epath.Path, made: Made) -> list[tfds.core.SplitInfo]:
    """Writes the shards of the splits that hold something."""
    splits: list[tuple[tfds.core.ShardedFileTemplate, list[int]]] = []
    work: list[tuple[str, str]] = []
    for split, found in made.items():
      built = {
        path: outcome for path, outcome in found.items() if not outcome.reason
      }
      if not built:
        continue
      dealt = shard_writer.deal(built)
      template = tfds.core.ShardedFileTemplate(
        dataset_name=self.name,
        split=split,
        filetype_suffix="tfrecord",
        data_dir=folder,
      )
      splits.append((template, list(map(len, dealt))))
      paths = template.sharded_filepaths(len(dealt))
      for path, examples in zip(paths, dealt, strict=True):
        place = self.plan.work / "lists" / f"{path.name}.list"
        files.write_text(place, "\n".join(map(os.fspath, examples)))
        work.append((os.fspath(path), os.fspath(place)))
    if work:
      total = sum(sum(lengths) for _, lengths in splits)
      write = "Write" >> beam.Map(shard_writer.write, self.info.features)
      beam_runner.run(self._runner, "written", total, work, write)
    return [shard_writer.split_info(*split) for split in splits]

  def _finish(self, folder: epath.Path) -> None:
    """Puts the report and the manifest beside the shards."""
    plan = self.plan
    reports.write(folder, self.report)
    manifest = manifests.Manifest(
      **dataclasses.asdict(plan.source),
      classes=tuple(plan.annotations.classes),
      splits={
        split: manifests.SplitCounts(**part["built"])
        for split, part in self.report["splits"].items()
      },
      source={
        "annotations": {
          path.name: hashlib.sha256(path.read_bytes()).hexdigest()
          for path in plan.annotations.files
        },
        "fingerprint": plan.key,
        "stride_seconds": 1 / plan.settings.frame_rate,
        "videos_left_out": sum(reports.left_out(self.report).values()),
      },
    )
    files.write_text(folder / manifests.NAME, manifest.to_json())


def build(
  plan: Plan, runner: beam_runner.Runner, most: float
) -> dict[str, Any]:
  """Builds a dataset; returns the report of it. Raises BuildError."""
  builder = VideoDataset(plan, runner, most)
  with _locked(plan.work):
    _clean(plan)
    builder.download_and_prepare()
  plan.work.rmtree()
  return builder.report


@contextlib.contextmanager
def _locked(work: epath.Path) -> Iterator[None]:
  """Keeps a second build of the same dataset out of the folder."""
  work.mkdir(parents=True, exist_ok=True)
  if "://" in str(work):
    yield
    return
  with open(work / "lock", "w") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      raise BuildError(
        f"{work}: another build of this dataset is running; wait for it"
      ) from error
    yield


def _clean(plan: Plan) -> None:
  """Removes what a killed build left and this one does not go on from."""
  mine = {
    cache.example_file("", job, plan.settings).stem
    for jobs in plan.jobs.values()
    for job in jobs
  }
  before = False
  for path in plan.work.iterdir():
    if path.is_dir():
      for file in path.iterdir():
        if file.stem not in mine:
          file.unlink()
    elif path.suffix in (".tfrecord", ".log"):
      path.unlink()
      before = True
  if before:
    print(
      f"{plan.work}: an earlier version began this build; its videos are"
      " decoded again",
      file=sys.stderr,
    )
  # So TFDS names what it is writing.
  unfinished = re.compile(rf"incomplete\..*_{re.escape(plan.final.name)}$")
  for path in plan.final.parent.iterdir():
    if unfinished.match(path.name):
      path.rmtree()
