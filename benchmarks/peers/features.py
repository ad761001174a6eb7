"""What a pair of towers sees and reads, in the layout that the peers train on.

OUT/videos/VID.npz holds `features` [T, D], the image tower's tokens;
OUT/texts/qidQID.npz `last_hidden_state` [L, D], those of the text tower that
are no padding, and `pooler_output` [D]; OUT/SPLIT.jsonl the queries. Clip i of
2 s stands for position i, so the time of position p in these files is 2 p + 1.
`write_found` turns what a peer found back into seconds.
"""

import json
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

from unloc_jax import files
from unloc_jax.data import pipeline, splits
from unloc_jax.data.sources import Video
from unloc_jax.models.unloc import UnLoc
from unloc_jax.task.sampling import Sampling, to_seconds
from unloc_jax.training import token_cache
from unloc_jax.training.state import Parts, init_params, nest
from unloc_jax.weights.merging import initial_weights

CLIP = 2.0


def write(config: ml_collections.ConfigDict, out: pathlib.Path) -> None:
  """Writes features of all splits that a config trains and evaluates on."""
  (out / "videos").mkdir(parents=True, exist_ok=True)
  (out / "texts").mkdir(exist_ok=True)
  parts = Parts.from_config(config)
  params = initial_weights(config, init_params(parts, jax.random.key(0)))
  for name in (config.data.train_split, *config.eval.splits):
    split = splits.open_split(config, name)
    videos(parts, params, split, out)
    texts(parts, params, split, out / "texts")
    rows = [
      row for video in split.table.videos for row in queries(parts, video)
    ]
    files.write_text(
      out / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows)
    )


def videos(
  parts: Parts, params: Any, split: splits.Split, out: pathlib.Path
) -> None:
  """Tokens of every video."""
  mesh = jax.make_mesh((1,), ("data",))
  found = token_cache.frame_tokens(parts, params, split, mesh, str(out))
  for video, tokens in zip(split.table.videos, found, strict=True):
    path = out / "videos" / f"{video.video_id}.npz"
    np.savez(path, features=tokens)


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
  length = CLIP * sampling.num_frames
  positions = sampling.to_positions(
    video.segments, video.frame_count, video.frame_rate
  )
  windows = np.clip(CLIP * (positions + 0.5), 0, length)
  centres = CLIP * (np.arange(sampling.num_frames) + 0.5)
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
        "duration": length,
        "relevant_windows": mine.tolist(),
        "relevant_clip_ids": [int(i) for i in inside],
        "saliency_scores": [[1, 1, 1]] * len(inside),
      }
    )
  return rows


def write_found(
  config: ml_collections.ConfigDict, split: str, found: pathlib.Path
) -> pathlib.Path:
  """Writes a peer's predictions in seconds, beside them in clips."""
  sampling = Sampling.from_config(config)
  videos = splits.open_split(config, split).table.videos
  by_id = {video.video_id: video for video in videos if video is not None}
  lines = []
  for line in found.read_text().splitlines():
    row = json.loads(line)
    video = by_id[row["vid"]]
    step = sampling.seconds_per_position(video.frame_count, video.frame_rate)
    given = np.array(row["pred_relevant_windows"], np.float32)
    seconds = to_seconds(
      given[None, :, :2] / CLIP - 0.5, step[None], np.float32([video.duration])
    )
    whole = np.concatenate([seconds[0], given[:, 2:]], axis=1)
    row["pred_relevant_windows"] = whole.tolist()
    lines.append(json.dumps(row) + "\n")
  path = found.with_suffix(".seconds.jsonl")
  files.write_text(path, "".join(lines))
  return path
