"""Encoded videos: what questions are asked of, kept in files and folders."""

import dataclasses
import json
import pathlib
import zipfile

import numpy as np

from unloc_jax import files
from unloc_jax.use import naming
from unloc_jax.use.questions import checked_path

_FORMAT = 1
SUFFIX = ".encoded.npz"
_ARRAYS = ["tokens", "token_mask", "frame_mask", "starts", "durations", "steps"]
_BROKEN = (ValueError, KeyError, TypeError, EOFError, OSError)


@dataclasses.dataclass(frozen=True)
class EncodedVideo:
  """A video as W windows of S tokens, those of its T frames first."""

  video_id: str  # Name of the file it came from, without its ending
  duration: float  # Seconds
  tokens: np.ndarray  # float32 [W, S, D], of `UnLoc.encode_video`
  token_mask: np.ndarray  # bool [W, S], False where there is no token
  frame_mask: np.ndarray  # bool [W, T], False where a window has no frame
  starts: np.ndarray  # float64 [W], where windows begin, seconds
  durations: np.ndarray  # float32 [W], seconds
  steps: np.ndarray  # float32 [W], seconds between two sampled frames
  encoder_hash: str  # Of the export that encoded it

  @property
  def num_windows(self) -> int:
    """W."""
    return len(self.starts)

  def times(self) -> list[np.ndarray]:
    """Seconds in the video of every window's frames, W of float64 [frames]."""
    windows = zip(self.starts, self.shown(), self.steps, strict=True)
    return [
      start + np.flatnonzero(mask) * float(step)
      for start, mask, step in windows
    ]

  def shown(self) -> np.ndarray:
    """Positions of frames that differ, bool [W, T]: once, a window's only."""
    is_repeated = np.arange(self.frame_mask.shape[1]) > 0
    return self.frame_mask & ~(is_repeated & (self.steps[:, None] == 0))

  def save(self, path: str) -> None:
    """Writes a file, whole or not at all; any name, best in `SUFFIX`."""
    fields = dict(vars(self))
    arrays = {name: fields.pop(name) for name in _ARRAYS}
    about = np.array(json.dumps({"format": _FORMAT, **fields}))
    files.write_arrays(checked_path(path, "path"), about=about, **arrays)

  @classmethod
  def load(cls, path: str) -> "EncodedVideo":
    """Reads what `save` wrote; FileNotFoundError or ValueError if it cannot."""
    try:
      with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        if about["format"] > _FORMAT:
          raise ValueError(
            f"format {about['format']}, this version reads up to {_FORMAT}; "
            "upgrade unloc_jax"
          )
        arrays = {name: file[name] for name in _ARRAYS if name in file}
        # Earlier files hold tokens of frames alone.
        arrays.setdefault("token_mask", arrays["frame_mask"])
        return cls(
          video_id=str(about["video_id"]),
          duration=float(about["duration"]),
          encoder_hash=str(about["encoder_hash"]),
          **arrays,
        )
    except FileNotFoundError as error:
      raise FileNotFoundError(f"{path}: there is no such file") from error
    except (*_BROKEN, zipfile.BadZipFile) as error:
      raise ValueError(
        f"{path} is not an encoded video ({error}); make one with "
        "encode_video(...).save(path)"
      ) from error


def read_index(folder: str) -> list[EncodedVideo]:
  """All encoded videos of a folder, by name; errors as of `load`."""
  paths = sorted(pathlib.Path(folder).glob(f"*{SUFFIX}"))
  if not paths:
    raise FileNotFoundError(
      f"{folder}: there is no *{SUFFIX} in this folder; save encoded videos "
      "there under such names"
    )
  videos = [EncodedVideo.load(str(path)) for path in paths]
  titles = [naming.readable(path.name.removesuffix(SUFFIX)) for path in paths]
  ids = naming.told_apart([video.video_id for video in videos], titles)
  return [
    dataclasses.replace(video, video_id=name)
    for video, name in zip(videos, ids, strict=True)
  ]
