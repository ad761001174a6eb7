"""Moment retrieval: what Moment-DETR and QD-DETR read, and what they found.

OUT/videos/VID.npz holds `features` [T, D], the image tower's tokens;
OUT/texts/qidQID.npz `last_hidden_state` [L, D], those of the text tower that
are no padding, and `pooler_output` [D]; OUT/SPLIT.jsonl the queries.
"""

import json
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

from benchmarks.peers import features
from unloc_jax import files
from unloc_jax.annotations import pairing
from unloc_jax.annotations.reading import Problems
from unloc_jax.data import pipeline, splits
from unloc_jax.data.sources import Video
from unloc_jax.metrics import recall
from unloc_jax.models.unloc import UnLoc
from unloc_jax.task.sampling import Sampling
from unloc_jax.training import token_cache
from unloc_jax.training.state import Parts, nest

FIGURES = ("R1@0.5", "R1@0.7")


def write(config: ml_collections.ConfigDict, out: pathlib.Path) -> None:
  """Writes features and queries of all splits that a config has."""
  for folder in ("videos", "texts"):
    (out / folder).mkdir(parents=True, exist_ok=True)
  parts, params, opened = features.opened(config)
  for split in opened:
    lines = []
    for video, tokens in features.videos(parts, params, split, out):
      np.savez(out / "videos" / f"{video.video_id}.npz", features=tokens)
      lines += [json.dumps(row) + "\n" for row in queries(parts, video)]
    texts(parts, params, split, out / "texts")
    files.write_text(out / f"{split.name}.jsonl", "".join(lines))


def texts(
  parts: Parts, params: Any, split: splits.Split, out: pathlib.Path
) -> None:
  """Tokens of every query."""

  def encode(model: UnLoc, ids: jax.Array) -> tuple[jax.Array, ...]:
    tower = model.text_tower
    tokens = tower(ids, True)
    return tokens, tower.real(ids), tower.pool(tokens, ids)

  run = jax.jit(lambda ids: parts.model.apply(nest(params), ids, method=encode))
  config = token_cache.with_streams(parts.config)
  split = splits.open_split(config, split.name)
  for batch in pipeline.make_eval(
    config, batch_size=config.eval.batch_size, split=split
  ):
    tokens, real, pooled = map(np.asarray, run(batch["text_ids"]))
    for b, q in np.argwhere(batch["query_mask"]):
      video = split.table[int(batch["example_index"][b])]
      query = video.query_ids[int(batch["query_offset"][b]) + q]
      np.savez(
        out / f"qid{query}.npz",
        last_hidden_state=tokens[b, q][real[b, q]],
        pooler_output=pooled[b, q],
      )


def queries(parts: Parts, video: Video) -> list[dict[str, Any]]:
  """A video's queries, in clips."""
  sampling = Sampling.from_config(parts.config)
  windows = features.in_clips(sampling, video)
  centres = features.CLIP * (np.arange(sampling.num_frames) + 0.5)
  rows = []
  for number, (query, text) in enumerate(
    zip(video.query_ids, video.texts, strict=True)
  ):
    mine = windows[video.segment_query == number]
    start, end = mine[0]
    inside = np.flatnonzero((centres >= start) & (centres <= end))
    if not len(inside):
      inside = [int(np.argmin(np.abs(centres - (start + end) / 2)))]
    rows.append(
      {
        "qid": query,
        "query": text,
        "vid": video.video_id,
        "duration": features.length(sampling),
        "relevant_windows": mine.tolist(),
        "relevant_clip_ids": [int(i) for i in inside],
        "saliency_scores": [[1, 1, 1]] * len(inside),
      }
    )
  return rows


def write_found(
  config: ml_collections.ConfigDict, split: str, found: pathlib.Path
) -> pathlib.Path:
  """Writes a peer's predictions of a split in seconds, beside the file."""
  sampling = Sampling.from_config(config)
  videos = splits.open_split(config, split).table.videos
  by_id = {video.video_id: video for video in videos if video is not None}
  lines = []
  for line in (found / f"{split}.jsonl").read_text().splitlines():
    row = json.loads(line)
    given = np.array(row["pred_relevant_windows"], np.float32)
    seconds = features.in_seconds(sampling, by_id[row["vid"]], given[:, :2])
    whole = np.concatenate([seconds, given[:, 2:]], axis=1)
    row["pred_relevant_windows"] = whole.tolist()
    lines.append(json.dumps(row) + "\n")
  path = found / f"{split}.seconds.jsonl"
  files.write_text(path, "".join(lines))
  return path


def scored(results: pathlib.Path, found: pathlib.Path | None) -> list[float]:
  """FIGURES of a file, or of our own in a folder of results."""
  path = found or results / "predictions.jsonl"
  asked, _ = pairing.read(path, results / "ground_truth.jsonl", Problems())
  values = recall.evaluate(asked).values
  return [float(values[name].mean()) for name in FIGURES]
