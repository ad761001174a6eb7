"""Builds the synthetic benchmark: videos, stills and annotations on disk."""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import tqdm

from data_preprocessing.synthetic import (
  encode,
  files,
  random_scenes,
  slideshows,
)
from data_preprocessing.synthetic.scenes import TRIPLES, Scene

# Raised whenever the same arguments would give another benchmark.
VERSION = 4
_DONE, _PARTIAL = "synthetic.json", "synthetic.partial.json"
_SEEDS_PER_SPLIT = 1_000_000

Job = TypeVar("Job")


@dataclasses.dataclass(frozen=True)
class Plan:
  """What to build; the same plan gives the same benchmark everywhere."""

  seed: int = 0
  train: int = 1500  # Number of training videos; so are val and test
  val: int = 150
  test: int = 250
  # Number of videos of combinations which are never trained on
  unseen: int = 150
  stills: int = 12800  # Number of stills with phrases of state
  min_duration: float = 12.0  # Seconds of the shortest video
  max_duration: float = 28.0  # Seconds of the longest video

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
  """Writes `videos/`, `slideshows/` and `annotations/` in a folder.

  Goes on with an interrupted build; returns False when all was already there.
  Raises ValueError where the folder holds a benchmark of another plan.
  """
  out = pathlib.Path(out)
  if not _claim(plan, out):
    return False
  videos = plan_videos(plan)
  jobs = [(v.scene, out / "videos" / f"v_{v.name}.mp4") for v in videos]
  _run(_film, jobs, workers, "videos")
  shows = slideshows.plan(plan.stills, plan.first_seed("stills"))
  folder = out / "slideshows"
  stills = [(seeds, folder / f"v_{name}.mp4") for name, seeds in shows.items()]
  _run(slideshows.write, stills, workers, "slideshows")
  files.write_json(
    out / "annotations" / "slideshows" / "activity_net.v1-3.min.json",
    slideshows.annotation_file(shows),
  )
  files.write_annotations(out / "annotations", videos)
  (out / _PARTIAL).replace(out / _DONE)
  return True


def plan_videos(plan: Plan) -> list[files.Video]:
  """Draws the scene of every video."""
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
      videos.append(files.Video(f"{split}_{i:06d}", split, scene))
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


def _film(job: tuple[Scene, pathlib.Path]) -> None:
  """Writes one video unless it is there: an interrupted build goes on."""
  scene, path = job
  if not path.exists():
    encode.write_video(scene, encode.draw_format(scene.seed), path)


def _run(
  function: Callable[[Job], None], jobs: Sequence[Job], workers: int, what: str
) -> None:
  """Runs jobs, in several processes or here; says on stderr how far it is."""
  if not jobs:
    return
  with contextlib.ExitStack() as stack:
    done: Iterable[None] = map(function, jobs)
    if workers > 1:
      # Not forked: a parent with threads may hang its children.
      context = multiprocessing.get_context("spawn")
      pool = stack.enter_context(context.Pool(workers))
      done = pool.imap(function, jobs, chunksize=8)
    for _ in tqdm.tqdm(done, desc=what, total=len(jobs), mininterval=2.0):
      pass
