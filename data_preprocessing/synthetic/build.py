"""Builds the synthetic benchmark: videos, stills and annotations on disk."""

from __future__ import annotations

import dataclasses
import itertools
import json
import multiprocessing
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from data_preprocessing.synthetic import encode, files, scenes, slideshows

# Raised whenever the same arguments would give another benchmark.
VERSION = 4
_DONE, _PARTIAL = "synthetic.json", "synthetic.partial.json"
_SEEDS_PER_SPLIT = 1_000_000
_REPORT_SECONDS = 2.0


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
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if value < 0:
        raise ValueError(f"{field.name} is {value}; give 0 or more")
      if field.type == "int" and value >= _SEEDS_PER_SPLIT:
        raise ValueError(f"{field.name} is {value}; give at most 999999")
    if not 5.0 <= self.min_duration <= self.max_duration:
      raise ValueError(
        f"durations {self.min_duration} to {self.max_duration} s: "
        "need 5 <= min-duration <= max-duration"
      )

  def first_seed(self, split: str) -> int:
    """The seed of a split's first item; splits never share one."""
    block = ("train", "val", "test", "unseen", "stills").index(split)
    return (self.seed * 5 + block) * _SEEDS_PER_SPLIT


def plan_videos(plan: Plan) -> list[files.Video]:
  """Draws the scene and the format of every video."""
  held_out = scenes.held_out_triples()
  everything = itertools.product(scenes.COLOURS, scenes.SHAPES, scenes.ACTIONS)
  trained = [
    t for t in everything if t not in held_out and t[1:] != scenes.INVISIBLE
  ]
  videos = []
  for split in files.CAPTION_FILES:
    triples = sorted(held_out) if split == "unseen" else trained
    for i in range(getattr(plan, split)):
      seed = plan.first_seed(split) + i
      scene = scenes.draw_scene(
        seed, triples, plan.min_duration, plan.max_duration
      )
      form = encode.draw_format(seed)
      name = f"{split}_{i:06d}"
      videos.append(files.Video(name, split, scene, (form.height, form.width)))
  return videos


def _film(job: tuple[files.Video, pathlib.Path]) -> None:
  """Writes one video unless it is there: an interrupted build goes on."""
  video, folder = job
  path = folder / f"v_{video.name}.mp4"
  if not path.exists():
    encode.write_video(video.scene, encode.draw_format(video.scene.seed), path)


def _progress(items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
  """Passes items on and says on stderr how far it is and how long it takes."""
  started = shown = time.monotonic()
  count = 0
  for count, item in enumerate(items, 1):
    yield item
    now = time.monotonic()
    if now - shown >= _REPORT_SECONDS or count == total:
      shown = now
      left = (now - started) / count * (total - count)
      end = "\n" if count == total or not sys.stderr.isatty() else ""
      lead = "\r" if sys.stderr.isatty() else ""
      print(
        f"{lead}{what}: {count}/{total}, {now - started:.0f} s, "
        f"{left:.0f} s left   ",
        end=end,
        file=sys.stderr,
        flush=True,
      )


def _run(
  function: Callable[[Any], Any],
  jobs: Sequence[Any],
  workers: int,
  what: str,
) -> list[Any]:
  """Runs jobs in order, in this process or in several."""
  if workers <= 1:
    return list(_progress(map(function, jobs), len(jobs), what))
  # Not forked: a parent with threads (JAX, TensorFlow) may hang its children.
  context = multiprocessing.get_context("spawn")
  with context.Pool(workers) as pool:
    done = pool.imap(function, jobs, chunksize=8)
    return list(_progress(done, len(jobs), what))


def _write_slideshows(plan: Plan, out: pathlib.Path, workers: int) -> None:
  folder = out / "slideshows"
  folder.mkdir(exist_ok=True)
  shows = slideshows.plan(plan.stills, plan.first_seed("stills"))
  jobs = [(show, folder) for show in shows]
  _run(slideshows.write, jobs, workers, "slideshows")
  files.write_json(
    out / "annotations" / "slideshows" / "activity_net.v1-3.min.json",
    slideshows.annotation_file(shows),
  )


def _claim(out: pathlib.Path, arguments: dict[str, Any]) -> bool:
  """Whether there is work to do in a folder; refuses another's folder."""
  for name in (_DONE, _PARTIAL):
    marker = out / name
    if not marker.exists():
      continue
    found = json.loads(marker.read_text(encoding="utf-8"))
    if found != arguments:
      raise ValueError(
        f"{marker}: holds another benchmark ({found}); "
        "give another --out or delete the folder"
      )
    if name == _DONE:
      return False
  out.mkdir(parents=True, exist_ok=True)
  files.write_text(out / _PARTIAL, json.dumps(arguments) + "\n")
  return True


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
  arguments = {"version": VERSION, **dataclasses.asdict(plan)}
  if not _claim(out, arguments):
    return False
  videos = plan_videos(plan)
  folder = out / "videos"
  folder.mkdir(exist_ok=True)
  _run(_film, [(video, folder) for video in videos], workers, "videos")
  _write_slideshows(plan, out, workers)
  files.write_annotations(out / "annotations", videos)
  os.replace(out / _PARTIAL, out / _DONE)
  return True
