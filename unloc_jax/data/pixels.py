"""The stream "frames": encoded images of a record -> pixels of a row."""

from typing import Any

import ml_collections
import tensorflow as tf

from unloc_jax.data import crop, rand_augment
from unloc_jax.data.ops import Op, Record, chain, draw_seed, uniform


def features() -> dict[str, Any]:
  """What is stored of it: JPEG images [N]."""
  return {"frames": tf.io.FixedLenSequenceFeature([], tf.string, True)}


def make(config: ml_collections.ConfigDict, training: bool) -> Op:
  """Adds the pixels of the sampled frames, and their mask."""
  data, augment = config.data, config.data.augment
  sizes = data.image_size, data.short_side
  if not training:
    return chain([take_frames, decode_crop(*sizes), spread_frames])
  crop_op = decode_crop(*sizes, tuple(augment.scale), augment.random_crop)
  steps = [take_frames, crop_op]
  if augment.flip > 0:
    steps.append(flip(augment.flip))
  if augment.colour > 0 or augment.grey > 0:
    steps.append(colour(augment.colour, augment.grey))
  if augment.rand_layers > 0:
    steps.append(rand_augmented(augment.rand_layers, augment.rand_magnitude))
  return chain([*steps, spread_frames])


def fault(record: Record) -> str | None:
  """The first sampled frame that cannot be decoded, and why; or None."""
  images = record["frames"]
  count = int(tf.size(images))
  if not count:
    return "holds no frame"
  size = None
  for i in sorted({0, *record["frame_index"].tolist()}):
    if i >= count:
      return f"frame {i} is missing, {count} are stored"
    try:
      pixels = tf.io.decode_jpeg(images[i], channels=3)
    except tf.errors.OpError:
      return f"frame {i} of {count} is not a JPEG that can be decoded"
    size = size or pixels.shape
    if pixels.shape != size:
      return f"frame {i} of {count} is {pixels.shape}, the first {size}"
  return None


def take_frames(record: Record) -> Record:
  """Encoded images of the sampled frames only, each once.

  A video with fewer frames than positions repeats some; "frame_index" then
  says which of the images kept a position shows.
  """
  needed, place = tf.unique(record["frame_index"])
  return {
    **record,
    "frames": tf.gather(record["frames"], needed),
    "frame_index": place,
  }


def decode_crop(
  image_size: int,
  short_side: int,
  scale: tuple[float, float] = (1.0, 1.0),
  random_crop: bool = False,
) -> Op:
  """Encoded images to uint8 [U, H, W, 3]: decode, crop, resize.

  The crop is cut before resizing, so only its pixels are ever touched.

  Args:
    image_size: H = W, pixels.
    short_side: what the short side counts as, pixels, before the crop.
    scale: range of the factor that short_side is multiplied with.
    random_crop: a random place instead of the centre.
  """

  def apply(record: Record) -> Record:
    images = record["frames"]
    size = tf.io.extract_jpeg_shape(images[0])[:2]
    factor = uniform(record, "scale", (), *scale) if scale != (1, 1) else 1.0
    top = uniform(record, "top") if random_crop else 0.5
    left = uniform(record, "left") if random_crop else 0.5
    view = crop.window(size, short_side * factor, image_size, top, left)
    decode = lambda image: tf.image.decode_and_crop_jpeg(  # noqa: E731
      image, view.box, channels=3, dct_method="INTEGER_ACCURATE"
    )
    pixels = tf.map_fn(decode, images, fn_output_signature=tf.uint8)
    return {**record, "frames": crop.cut(pixels, view, image_size)}

  return apply


def flip(probability: float) -> Op:
  """Mirrors the whole video, left to right, with a probability."""

  def apply(record: Record) -> Record:
    mirrored = uniform(record, "flip") < probability
    frames = tf.cond(
      mirrored,
      lambda: tf.reverse(record["frames"], [2]),
      lambda: record["frames"],
    )
    return {**record, "frames": frames}

  return apply


def colour(probability: float, grey_probability: float) -> Op:
  """Changes colours, then drops them, each with a probability of its own."""

  def jittered(record: Record) -> tf.Tensor:
    # Strengths as usual in video training (DMVR): 32/255, 0.4, 0.4, 0.2.
    draw = uniform(record, "colour", [4], -1.0, 1.0)
    pixels = tf.image.convert_image_dtype(record["frames"], tf.float32)
    pixels = tf.image.adjust_brightness(pixels, draw[0] * 32.0 / 255.0)
    pixels = tf.image.adjust_saturation(pixels, 1.0 + 0.4 * draw[1])
    mean = tf.reduce_mean(pixels, axis=[0, 1, 2])
    pixels = (pixels - mean) * (1.0 + 0.4 * draw[2]) + mean
    pixels = tf.image.adjust_hue(tf.clip_by_value(pixels, 0, 1), 0.2 * draw[3])
    pixels = tf.clip_by_value(pixels, 0, 1)
    return tf.saturate_cast(tf.round(pixels * 255.0), tf.uint8)

  def apply(record: Record) -> Record:
    changed = uniform(record, "colour_on") < probability
    frames = tf.cond(
      changed, lambda: jittered(record), lambda: record["frames"]
    )
    dropped = uniform(record, "grey") < grey_probability
    frames = tf.cond(
      dropped,
      lambda: tf.repeat(tf.image.rgb_to_grayscale(frames), 3, axis=-1),
      lambda: frames,
    )
    return {**record, "frames": frames}

  return apply


def rand_augmented(layers: int, magnitude: float) -> Op:
  """RandAugment, the same operations on all frames of a video."""

  def apply(record: Record) -> Record:
    frames = rand_augment.apply(
      record["frames"], draw_seed(record, "augment"), layers, magnitude
    )
    return {**record, "frames": frames}

  return apply


def spread_frames(record: Record) -> Record:
  """Pixels at every sampled position, zeros where there is no frame."""
  frames, mask = record["frames"], record["frame_mask"]
  places = tf.size(mask)

  def spread() -> tf.Tensor:
    there = tf.cast(mask, frames.dtype)[:, None, None, None]
    return tf.gather(frames, record["frame_index"]) * there

  # Mostly every frame is shown once, and copying them all would be a waste.
  once = (tf.shape(frames)[0] == places) & tf.reduce_all(mask)
  frames = tf.cond(once, lambda: frames, spread)
  return {
    **record,
    "frames": tf.ensure_shape(frames, [*mask.shape, *frames.shape[1:]]),
  }
