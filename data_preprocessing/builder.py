"""The TFDS builder: one class for every benchmark, frames and features."""

import contextlib
import fcntl
import re
import types
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import dataset_builder

from data_preprocessing import pipeline, records, shard
from data_preprocessing import report as reports
from data_preprocessing.jobs import BuildError, Outcome
from data_preprocessing.plan import Plan, Threshold, finished
from data_preprocessing.progress import Progress
from unloc_jax.media.errors import Reason


class VideoDataset(dataset_builder.FileReaderBuilder, skip_registration=True):  # type: ignore[call-arg]
  """A benchmark of videos as a TFDS dataset.

  What differs between benchmarks is in the plan: its annotations.

  Attributes:
    plan: What is built.
    report: What became of every video; None before it is built.
  """

  VERSION = tfds.core.Version(records.VERSION)

  def __init__(
    self,
    plan: Plan,
    worker_count: int = 1,
    beam_options: str = "",
    max_missing: Threshold | None = None,
    stall_seconds: float = 300.0,
  ):
    """Plans nothing and opens nothing; `download_and_prepare` builds.

    Args:
      plan: What to build.
      worker_count: Local worker processes.
      beam_options: Options of another Beam runner, "" to run here.
      max_missing: How many videos may be left out, None for any number.
      stall_seconds: After how long without progress a video is given up.
    """
    self.name = plan.final.parent.name
    self.plan = plan
    self.report: dict[str, Any] | None = None
    self._worker_count = worker_count
    self._beam_options = beam_options
    self._max_missing = max_missing or Threshold()
    self._stall_seconds = stall_seconds
    super().__init__(data_dir=str(plan.final.parent.parent))

  def _info(self) -> tfds.core.DatasetInfo:
    settings = self.plan.settings
    return tfds.core.DatasetInfo(
      builder=self,
      description=f"{self.plan.benchmark.title}, one example a video.",
      features=records.features(
        settings.extract, settings.embedding_width or None
      ),
      disable_shuffling=False,
    )

  def _make_download_manager(self, **_: Any) -> Any:
    """Returns a manager that has downloaded nothing: the files are here."""
    return types.SimpleNamespace(downloaded_size=0)

  def _log_download_bytes(self) -> None:
    """Says nothing of downloads; progress is shown by `Progress`."""

  def _log_download_done(self) -> None:
    """Says nothing of downloads."""

  def _download_and_prepare(
    self, dl_manager: Any, download_config: Any
  ) -> None:
    """Writes every shard, then the report, then the names of the splits."""
    outcomes = self.write_shards()
    folder = epath.Path(self.data_dir)
    splits = []
    for split in sorted(outcomes):
      lengths, size = self._place(split, folder)
      if lengths:
        splits.append(
          tfds.core.SplitInfo(
            name=split,
            shard_lengths=lengths,
            num_bytes=size,
            filename_template=self._template(split, folder),
          )
        )
    self.info.set_splits(tfds.core.SplitDict(splits))
    finish(self, folder)

  def write_shards(self) -> dict[str, list[Outcome]]:
    """Runs the pipeline and judges what it left out.

    Returns:
      Split -> what became of its videos.

    Raises:
      BuildError: More videos are left out than allowed, or a shard cannot be
        written.
    """
    plan = self.plan
    plan.work.mkdir(parents=True, exist_ok=True)
    total = sum(len(s.videos) for s in plan.shards) + sum(
      len(gone) for gone in plan.absent.values()
    )
    # What cannot become true later is said before the long work.
    self._judge(dict(plan.absent), total)
    if plan.shards:
      with Progress(plan.shards):
        pipeline.run(
          plan.shards,
          self._worker_count,
          self._beam_options,
          self._stall_seconds,
        )
    outcomes = {split: list(gone) for split, gone in plan.absent.items()}
    for job in plan.shards:
      log = shard.read_log(job)
      if not log.done:
        raise BuildError(
          f"{job.folder}: shard {job.stem} is not finished; run the same"
          " command again to go on"
        )
      outcomes[job.split] += log.outcomes
    self._judge(outcomes, total)
    return outcomes

  def _judge(self, outcomes: dict[str, list[Outcome]], total: int) -> None:
    """Writes the report so far, and stops the build where it must."""
    for split in outcomes:
      outcomes[split].sort(key=lambda outcome: outcome.video_id)
    plan = self.plan
    self.report = reports.build_report(
      plan.benchmark, plan.annotations, outcomes
    )
    reports.write(plan.work, self.report)
    self._max_missing.check(
      reports.left_out(self.report), total, str(plan.work / "report.md")
    )

  def _place(self, split: str, folder: epath.Path) -> tuple[list[int], int]:
    """Moves the shards of a split to their names; returns lengths, bytes."""
    full = []
    for job in self.plan.shards:
      if job.split != split:
        continue
      built = [o for o in shard.read_log(job).outcomes if not o.reason]
      if built:
        full.append((job, built))
    names = self._template(split, folder).sharded_filepaths(len(full))
    for (job, _), name in zip(full, names, strict=True):
      shard.data_path(job).rename(name)
    return [len(built) for _, built in full], sum(
      o.bytes for _, built in full for o in built
    )

  def _template(
    self, split: str, folder: epath.Path
  ) -> tfds.core.ShardedFileTemplate:
    return tfds.core.ShardedFileTemplate(
      dataset_name=self.name,
      split=split,
      filetype_suffix="tfrecord",
      data_dir=folder,
    )

  def manifest(self) -> records.Manifest:
    """Returns what the dataset was made of. It must have been built."""
    assert self.report is not None
    settings = self.plan.settings
    frames = settings.extract == records.FRAMES
    return records.Manifest(
      dataset=settings.dataset,
      extract=settings.extract,
      frame_rate=settings.frame_rate,
      short_side=settings.short_side if settings.decodes else 0,
      jpeg_quality=settings.jpeg_quality if settings.decodes else 0,
      embedding_width=None if frames else settings.embedding_width,
      tower_hash=settings.tower_hash or None,
      normalisation=settings.normalisation,
      classes=list(self.plan.annotations.classes),
      splits={
        split: part["built"] for split, part in self.report["splits"].items()
      },
      source={
        "annotations": self.plan.sources(),
        "fingerprint": self.plan.key,
        "stride_seconds": 1 / settings.frame_rate,
        "videos_left_out": reports.left_out(self.report),
      },
    )


def build(builder: VideoDataset) -> epath.Path:
  """Builds a dataset, or finds it built already, and returns its folder.

  Raises:
    BuildError: It cannot be built, or another dataset is in its place.
  """
  plan = builder.plan
  if finished(plan):
    return plan.final
  with _locked(plan.work):
    _clean(plan)
    if plan.settings.tfrecord == "sequence":
      _prepare_sequence(builder)
    else:
      builder.download_and_prepare()
  plan.work.rmtree()
  return plan.final


def _prepare_sequence(builder: VideoDataset) -> None:
  """Builds MediaSequence TFRecords, which TFDS can neither write nor read."""
  plan = builder.plan
  outcomes = builder.write_shards()
  beside = plan.final.parent / f"{plan.final.name}.incomplete_sequence"
  beside.mkdir(parents=True)
  for split in sorted(outcomes):
    builder._place(split, beside)
  finish(builder, beside)
  beside.rename(plan.final)


def finish(builder: VideoDataset, folder: epath.Path) -> None:
  """Puts the report and the manifest beside the shards."""
  assert builder.report is not None
  reports.write(folder, builder.report)
  (folder / "manifest.json").write_text(builder.manifest().to_json())


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
    name
    for job in plan.shards
    for name in (shard.data_path(job).name, shard.log_path(job).name)
  }
  for path in plan.work.iterdir():
    if path.suffix in (".tfrecord", ".log") and path.name not in mine:
      path.unlink()
  # The first name is TFDS's, the second ours.
  name = re.escape(plan.final.name)
  unfinished = re.compile(rf"incomplete\..*_{name}$|{name}\.incomplete_")
  for path in plan.final.parent.iterdir():
    if unfinished.match(path.name):
      path.rmtree()


def left_out_reasons(report: dict[str, Any]) -> dict[str, int]:
  """Returns reason -> videos left out for it."""
  counts: dict[str, int] = {}
  for part in report["splits"].values():
    for line in (*part["missing"], *part["broken"]):
      reason = str(Reason(line["reason"]))
      counts[reason] = counts.setdefault(reason, 0) + 1
  return counts
