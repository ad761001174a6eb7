"""Our model against runs of the reference implementation, one a file.

    python -m pytest tests/parity

Tokens, logits, losses, gradients, targets and detections, at tolerances that
the differences printed by `-rP` stay well below.
"""

import functools
import pathlib

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.parity.golden import Golden
from tests.parity.reference import from_reference
from unloc_jax.task import decode, sampling
from unloc_jax.task.objective import compute_losses, make_targets

OWN = pathlib.Path(__file__).parent.parent / "data" / "golden"
NAMES = (
  "mr_fpn",
  "mr_simple_pyramid_all_tokens",
  "qvh_matched",
  "seg_transformer",
  "tal_simple_pyramid",
)
# Largest absolute differences.
OUTPUT, GRADIENT, SECONDS = 2e-5, 3e-5, 1e-3


@pytest.fixture(scope="module", params=NAMES)
def golden(request) -> Golden:
  """A file of this repository, else of the material beside it."""
  path = OWN / f"{request.param}.npz"
  if not path.exists():
    folder = request.getfixturevalue("shared") / "golden"
    path = folder / f"{request.param}.npz"
  if not path.exists():
    pytest.skip(f"there is no {path}")
  return Golden(path)


def agree(name: str, ours, theirs, tolerance: float = OUTPUT) -> None:
  """Holds two arrays against each other, and says how far they are apart."""
  ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
  assert ours.shape == theirs.shape, name
  away = float(np.max(np.abs(ours - theirs), initial=0.0))
  print(f"{name}: {away:.1e}")
  assert away <= tolerance, f"{name} is off by {away:.1e}"


def test_parameters_are_those_of_the_model(golden):
  assert not golden.differences()


def outputs(golden: Golden) -> dict[str, jax.Array]:
  """Tokens, fused tokens and logits in the reference's layout."""
  streams, masks, ids = golden.inputs
  frame_mask, count = masks["frames"], golden.spec.num_frames

  def run(model):
    video, text = model.encode_video(streams), model.encode_text(ids)
    tokens, mask = text.tokens, text.mask
    if tokens.ndim == 3:
      tokens, mask = tokens[None], mask[None]
    seen = video[:, None]
    levels, _ = model.fusion(seen, frame_mask, tokens, mask, True, count)
    words = ids
    if model.text_tower is not None:
      words = model.text_projection(model.text_tower(ids, True))
    prediction = model.localize(video, frame_mask, text)
    return video, words, jnp.concatenate(levels, axis=2), prediction

  apply = jax.jit(functools.partial(golden.model.apply, method=run))
  video, words, fused, prediction = apply(golden.variables)
  if golden.task.has_displacement:
    relevance = prediction.relevance[..., None]
    logits = jnp.concatenate([relevance, prediction.displacement], axis=-1)
    if golden.pairs() is None:
      logits = jnp.swapaxes(logits, 1, 2)
      logits = logits.reshape(*logits.shape[:2], -1)
  else:
    logits = jnp.swapaxes(prediction.relevance, 1, 2)
    fused = jnp.swapaxes(fused, 1, 2)
  return {
    "video_tokens": video,
    "text_tokens": words.reshape(golden.arrays["out/text_tokens"].shape),
    "fused_video": fused,
    "eval_logits": logits,
  }


@pytest.mark.heavy
def test_tokens_and_logits(golden):
  ours = outputs(golden)
  for name, value in ours.items():
    agree(name, value, golden.arrays[f"out/{name}"])


@pytest.mark.heavy
def test_losses_and_gradients(golden):
  gradients = from_reference(golden.under("grad/"))
  targets, pairs = golden.targets(), golden.pairs()

  def losses(params):
    prediction = golden.model.apply({"params": params}, *golden.inputs, pairs)
    parts = compute_losses(golden.task, golden.loss, prediction, targets)
    return parts["total"], parts

  params = golden.variables["params"]
  if gradients:
    made, parts = jax.jit(jax.grad(losses, has_aux=True))(params)
  else:
    made, (_, parts) = {}, jax.jit(losses)(params)
  names = {"total": "total", "cls": "relevance", "box": "displacement"}
  for name, value in golden.under("loss/").items():
    agree(name, parts[names[name]], value)
  made = flax.traverse_util.flatten_dict(made, sep="/")
  assert gradients.keys() <= made.keys()
  for name, value in gradients.items():
    agree(f"gradient of {name}", made[name], value, GRADIENT)
    # A small one that is missing would pass, too.
    assert not np.any(value) or np.any(made[name])


def test_targets(golden):
  """Labels and displacements made from the file's segments."""
  if not golden.task.has_displacement:
    pytest.skip("its labels are the targets")
  start, end = (
    golden.arrays[f"batch/segment_{side}_index"] for side in ("start", "end")
  )
  query = np.broadcast_to(np.arange(start.shape[1]), start.shape)
  query = golden.arrays.get("batch/segment_label_index", query)
  segments = np.stack([start, end], axis=-1).astype(np.float32)
  positions = [
    golden.sampling.to_positions(rows, int(count), 1.0)
    for rows, count in zip(segments, golden.counts, strict=True)
  ]
  batch = {
    **golden.batch,
    "segments": jnp.asarray(np.stack(positions), jnp.float32),
    "segment_query": jnp.asarray(query, jnp.int32),
  }
  theirs = golden.targets()
  ours = make_targets(golden.task, golden.spec, batch, theirs.labels.shape[1])
  shown = np.broadcast_to(theirs.mask & ours.mask, theirs.labels.shape)
  assert np.any(shown & theirs.labels)
  np.testing.assert_array_equal(shown & ours.labels, shown & theirs.labels)
  distance = theirs.displacement
  if golden.task.texts == "classes":
    index = jnp.maximum(batch["segment_query"], 0)[:, :, None, None]
    distance = jnp.take_along_axis(distance, index, axis=1)
  positive = np.asarray(ours.positive)[..., None]
  assert np.any(positive)
  agree(
    "displacement",
    np.where(positive, ours.displacement, 0),
    np.where(positive, distance, 0),
  )


def decoded(golden: Golden) -> tuple[np.ndarray, np.ndarray]:
  """Segments [B, Q, P, 2] in seconds and scores [B, Q, P] of own queries."""
  logits, pairs = golden.arrays["out/eval_logits"], golden.pairs()
  if pairs is None:
    logits = logits.reshape(*logits.shape[:2], -1, 3).swapaxes(1, 2)
  else:
    index = np.asarray(pairs)[..., None, None]
    logits = np.take_along_axis(logits, index, axis=1)
  rate = np.full(len(logits), 1 / golden.step, np.float32)
  seconds = sampling.to_seconds(
    decode.decode_segments(golden.spec, jnp.asarray(logits[..., 1:])),
    golden.sampling.seconds_per_position(golden.counts, rate),
    jnp.asarray(golden.counts * golden.step, jnp.float32),
  )
  return np.asarray(seconds), np.asarray(jax.nn.sigmoid(logits[..., 0]))


def test_detections(golden):
  """Segments in seconds and scores, before and after soft-NMS."""
  if not golden.under("post/"):
    pytest.skip("its frames are classified, not detected")
  seconds, scores = decoded(golden)
  mask = np.asarray(golden.spec.point_mask(golden.batch["frame_mask"]))
  for video in range(len(scores)):
    own = slice(None)
    if "query_mask" in golden.batch:
      own = np.asarray(golden.batch["query_mask"])[video]
    of_video = (
      seconds[video][own],
      np.where(mask[video], scores[video], -1)[own],
    )
    check_video(golden, golden.under(f"post/{video}/"), *of_video)


def check_video(golden, theirs, seconds, scores):
  """Holds one video's lists together; a score of -1 marks a padded point."""
  nms = {
    key: golden.config.decode[key]
    for key in ("sigma", "score_threshold", "max_detections")
  }
  if golden.pairs() is None:
    before = seconds.swapaxes(0, 1), scores.T
    chosen = before[1] >= nms["score_threshold"]
  else:
    before, chosen = (seconds, scores), scores >= 0
  shape = theirs["pre_scores"].shape
  agree("pre_scores", before[1][chosen].reshape(shape), theirs["pre_scores"])
  agree(
    "pre_segments",
    before[0][chosen].reshape(*shape, 2),
    theirs["pre_segments"],
    SECONDS,
  )
  run = decode.detect_per_query(seconds[None], scores[None], **nms)
  segments, kept = (np.asarray(x)[0] for x in run)
  lists = {str(q): (segments[q], kept[q]) for q in range(len(kept))}
  lists["multiclass"] = segments, kept
  run = decode.detect_class_agnostic(seconds[None], scores[None], **nms)
  segments, kept, classes = (np.asarray(x)[0] for x in run)
  lists["agnostic"] = segments, kept
  listed = {name.split("/")[0] for name in theirs if name.endswith("/scores")}
  assert listed
  assert listed <= lists.keys()
  for key in listed:
    segments, kept_scores = (x[lists[key][1] > 0] for x in lists[key])
    agree(f"{key}/scores", kept_scores, theirs[f"{key}/scores"])
    agree(f"{key}/segments", segments, theirs[f"{key}/segments"], SECONDS)
  if "agnostic/classes" in theirs:
    agree("classes", classes[kept > 0], theirs["agnostic/classes"], 0.0)


def test_unknown_parameters_are_all_listed():
  params = {"text_encoder/surprise": 1, "wonder": 2, "a_head/scale_0": 3}
  with pytest.raises(KeyError, match="text_encoder/surprise, wonder"):
    from_reference(params)


def test_a_wrong_parameter_is_past_tolerance():
  golden = Golden(OWN / "mr_fpn.npz")
  golden.params["image_projection/kernel"][0, 0] += 0.01
  ours, theirs = outputs(golden), golden.under("out/")
  agree("text_tokens", ours["text_tokens"], theirs["text_tokens"])
  with pytest.raises(AssertionError, match="video_tokens is off by"):
    agree("video_tokens", ours["video_tokens"], theirs["video_tokens"])
