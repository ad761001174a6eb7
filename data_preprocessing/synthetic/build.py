"""Builds the synthetic benchmark: videos, stills and annotations on disk."""

import collections
import dataclasses
import functools
import json
import multiprocessing
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import tqdm

from data_preprocessing.synthetic import (
  encode,
  files,
  random_scenes,
  slideshows,
)
from data_preprocessing.synthetic.scenes import TRIPLES

# Raised whenever the same arguments would give another benchmark.
VERSION = 4
_DONE, _PARTIAL = "synthetic.json", "synthetic.partial.json"
_SEEDS_PER_SPLIT = 1_000_000

Job = TypeVar("Job")


@dataclasses.dataclass(frozen=True)
class Plan:
  """What to build; the same plan gives the same benchmark everywhere.

  Attributes:
    seed: Seed of everything.
    train: Number of training videos.
    val: Number of validation videos.
    test: Number of test videos.
    unseen: Number of videos of combinations which are never trained on.
    stills: Number of stills with phrases of state.
    min_duration: Seconds of the shortest video.
    max_duration: Seconds of the longest video.
  """

  seed: int = 0
  train: int = 1500
  val: int = 150
  test: int = 250
  unseen: int = 150
  stills: int = 12800
  min_duration: float = 12.0
  max_duration: float = 28.0

  def __post_init__(self) -> None:
    for name, value in dataclasses.asdict(self).items():
      if value < 0:
        raise ValueError(f"{name} is {value}; give 0 or more")
      if isinstance(value, int) and value >= _SEEDS_PER_SPLIT:
        raise ValueError(f"{name} is {value}; give at most 999999")
    if not 5.0 <= self.min_duration <= self.max_duration:
      raise ValueError(
        f"durations {self.min_duration} to {self.max_duration} s: "
        "need 5 <= min-duration <= max-duration"
      )

  def first_seed(self, split: str) -> int:
    """The seed of a split's first item; splits never share one."""
    block = ("train", "val", "test", "unseen", "stills").index(split)
    return (self.seed * 5 + block) * _SEEDS_PER_SPLIT


def build(plan: Plan, out: str | os.PathLike[str], workers: int = 1) -> bool:
  """Builds a benchmark in a folder; goes on with an interrupted build.

  Args:
    plan: What to build.
    out: Folder; gets `videos/`, `slideshows/` and `annotations/`.
    workers: Number of processes.

  Returns:
    False when the benchmark was already there.

  Raises:
    ValueError: If the folder holds a benchmark of another plan.
  """
  out = pathlib.Path(out)
  if not _claim(plan, out):
    return False
  videos = plan_videos(plan)
  _run(_film, [(video, out / "videos") for video in videos], workers, "videos")
  _write_slideshows(plan, out, workers)
  files.write_annotations(out / "annotations", videos)
  (out / _PARTIAL).replace(out / _DONE)
  return True


def plan_videos(plan: Plan) -> list[files.Video]:
  """Draws the scene and the format of every video."""
  held_out = random_scenes.held_out_triples()
  trained = [t for t in TRIPLES if t not in held_out]
  videos = []
  for split in files.CAPTION_FILES:
    triples = held_out if split == "unseen" else trained
    for i in range(getattr(plan, split)):
      seed = plan.first_seed(split) + i
      scene = random_scenes.draw_scene(
        seed, triples, plan.min_duration, plan.max_duration
      )
      form = encode.draw_format(seed)
      name = f"{split}_{i:06d}"
      videos.append(files.Video(name, split, scene, (form.height, form.width)))
  return videos


def _claim(plan: Plan, out: pathlib.Path) -> bool:
  """Whether there is work to do in a folder; refuses another's folder."""
  arguments = {"version": VERSION, **dataclasses.asdict(plan)}
  for marker in (out / _DONE, out / _PARTIAL):
    if not marker.exists():
      continue
    found = json.loads(marker.read_text(encoding="utf-8"))
    if found != arguments:
      raise ValueError(
        f"{marker}: holds another benchmark ({found}); "
        "give another --out or delete the folder"
      )
    if marker.name == _DONE:
      return False
  files.write_json(out / _PARTIAL, arguments)
  return True


def _film(job: tuple[files.Video, pathlib.Path]) -> None:
  """Writes one video unless it is there: an interrupted build goes on."""
  video, folder = job
  path = folder / f"v_{video.name}.mp4"
  if not path.exists():
    encode.write_video(video.scene, encode.draw_format(video.scene.seed), path)


def _write_slideshows(plan: Plan, out: pathlib.Path, workers: int) -> None:
  shows = slideshows.plan(plan.stills, plan.first_seed("stills"))
  jobs = [(show, out / "slideshows") for show in shows]
  _run(slideshows.write, jobs, workers, "slideshows")
  files.write_json(
    out / "annotations" / "slideshows" / "activity_net.v1-3.min.json",
    slideshows.annotation_file(shows),
  )


def _run(
  function: Callable[[Job], None], jobs: Sequence[Job], workers: int, what: str
) -> None:
  """Runs jobs, in several processes or here; says on stderr how far it is."""
  show = functools.partial(
    tqdm.tqdm, desc=what, total=len(jobs), mininterval=2.0
  )
  if workers <= 1:
    collections.deque(show(map(function, jobs)), maxlen=0)
    return
  # Not forked: a parent with threads (JAX, TensorFlow) may hang its children.
  with multiprocessing.get_context("spawn").Pool(workers) as pool:
    collections.deque(show(pool.imap(function, jobs, chunksize=8)), maxlen=0)
