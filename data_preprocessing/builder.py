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

from data_preprocessing import cache, pipeline, schema, shards
from data_preprocessing import plan as plans
from data_preprocessing import report as reports
from data_preprocessing.examples import Outcome
from data_preprocessing.lookup import VideoJob
from data_preprocessing.plan import Plan
from data_preprocessing.settings import BuildError
from unloc_jax import files
from unloc_jax.data import manifest as manifests

_THREADS = 32
# Split -> (file of the example, what became of it), of the videos opened.
Made = dict[str, list[tuple[epath.Path, Outcome]]]


class VideoDataset(dataset_builder.FileReaderBuilder, skip_registration=True):  # type: ignore[call-arg]
  """A benchmark of videos as a TFDS dataset.

  What differs between benchmarks is in the plan: its annotations.

  Attributes:
    plan: What is built.
    report: What became of every video; {} before it is built.
  """

  VERSION = tfds.core.Version(schema.VERSION)

  def __init__(self, plan: Plan, runner: pipeline.Runner, limit: reports.Limit):
    """Plans nothing and opens nothing; `download_and_prepare` builds.

    Args:
      plan: What to build.
      runner: Where to build it.
      limit: How many videos may be left out.
    """
    self.name = plan.final.parent.name
    self.plan = plan
    self.report: dict[str, Any] = {}
    self._runner = runner
    self._limit = limit
    super().__init__(data_dir=str(plan.final.parent.parent))

  def _info(self) -> tfds.core.DatasetInfo:
    settings = self.plan.settings
    return tfds.core.DatasetInfo(
      builder=self,
      description=f"{self.plan.benchmark.title}, one example a video.",
      features=schema.features(
        settings.extract, settings.embedding_width or None
      ),
      disable_shuffling=False,
    )

  def _make_download_manager(self, **_: Any) -> Any:
    """Returns a manager that has downloaded nothing: the files are here."""
    return types.SimpleNamespace(downloaded_size=0)

  def _log_download_bytes(self) -> None:
    """Says nothing of downloads."""

  def _log_download_done(self) -> None:
    """Says nothing of downloads."""

  def _download_and_prepare(
    self, dl_manager: Any, download_config: Any
  ) -> None:
    """Makes the examples, judges what is left out, writes the shards."""
    absent = self.plan.absent
    # What cannot become true later is said before the long work.
    self._judge(absent)
    self._make_examples()
    made = self._made()
    self._judge(
      {s: [*absent[s], *(o for _, o in found)] for s, found in made.items()}
    )
    folder = epath.Path(self.data_dir)
    self.info.set_splits(tfds.core.SplitDict(self._write(folder, made)))
    self._finish(folder)

  def _make_examples(self) -> None:
    """Makes the examples that are not there yet, a file each."""
    plan = self.plan
    jobs = [job for split in plan.jobs.values() for job in split]
    make = pipeline.MakeExample(
      plan.settings, os.fspath(plan.work), self._runner.stall_seconds
    )
    if jobs:
      pipeline.run(
        self._runner,
        "decoded",
        len(jobs),
        cache.list_jobs(plan.work / "lists", jobs),
        "Videos" >> beam.FlatMap(cache.listed_jobs),
        "Make" >> beam.ParDo(make),
      )

  def _made(self) -> Made:
    """Returns what became of the videos that were opened."""
    plan = self.plan

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
        split: list(threads.map(read, jobs))
        for split, jobs in sorted(plan.jobs.items())
      }

  def _judge(self, outcomes: dict[str, list[Outcome]]) -> None:
    """Writes the report so far, and stops the build where it must."""
    plan = self.plan
    self.report = reports.build_report(
      plan.benchmark,
      plan.annotations,
      {
        split: sorted(found, key=lambda outcome: outcome.video_id)
        for split, found in outcomes.items()
      },
    )
    reports.write(plan.work, self.report)
    self._limit.check(
      reports.left_out(self.report), plan.total, str(plan.work / "report.md")
    )

  def _write(self, folder: epath.Path, made: Made) -> list[tfds.core.SplitInfo]:
    """Writes the shards of the splits that hold something."""
    lists = self.plan.work / "lists"
    lengths: dict[str, list[int]] = {}
    work: list[tuple[str, str]] = []
    for split, found in made.items():
      built = {path: outcome for path, outcome in found if not outcome.reason}
      if not built:
        continue
      dealt = shards.deal(split, built)
      lengths[split] = [len(examples) for examples in dealt]
      paths = self._template(split, folder).sharded_filepaths(len(dealt))
      for path, examples in zip(paths, dealt, strict=True):
        place = lists / f"{path.name}.list"
        work.append((os.fspath(path), shards.list_examples(place, examples)))
    settings = self.plan.settings
    write = shards.WriteShard(
      settings.extract, settings.embedding_width or None
    )
    if work:
      total = sum(map(sum, lengths.values()))
      to_shard = "Write" >> beam.ParDo(write)
      pipeline.run(self._runner, "written", total, work, to_shard)
    return [
      shards.split_info(self._template(split, folder), counts)
      for split, counts in lengths.items()
    ]

  def _template(
    self, split: str, folder: epath.Path
  ) -> tfds.core.ShardedFileTemplate:
    return tfds.core.ShardedFileTemplate(
      dataset_name=self.name,
      split=split,
      filetype_suffix="tfrecord",
      data_dir=folder,
    )

  def _finish(self, folder: epath.Path) -> None:
    """Puts the report and the manifest beside the shards."""
    plan = self.plan
    reports.write(folder, self.report)
    manifest = manifests.Manifest(
      **dataclasses.asdict(plans.source(plan.settings)),
      classes=tuple(plan.annotations.classes),
      splits={
        split: manifests.SplitCounts(**part["built"])
        for split, part in self.report["splits"].items()
      },
      source={
        "annotations": plan.sources(),
        "fingerprint": plan.key,
        "stride_seconds": 1 / plan.settings.frame_rate,
        "videos_left_out": reports.left_out(self.report),
      },
    )
    files.write_text(folder / manifests.NAME, manifest.to_json())


def build(builder: VideoDataset) -> epath.Path:
  """Builds a dataset, or finds it built already, and returns its folder.

  Raises:
    BuildError: It cannot be built, or another dataset is in its place.
  """
  plan = builder.plan
  if plans.finished(plan):
    return plan.final
  with _locked(plan.work):
    _clean(plan)
    builder.download_and_prepare()
  plan.work.rmtree()
  return plan.final


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
