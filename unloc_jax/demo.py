"""A page to try a model on: a video, sentences, a timeline.

    python -m unloc_jax.demo --export=DIR --examples=FOLDER_OF_VIDEOS

Needs the extra [demo]. Served on 127.0.0.1 unless told otherwise.
"""

import argparse
import collections
import os
import pathlib
import sys
import tempfile
import threading
import uuid
from collections.abc import Sequence
from typing import Any

from unloc_jax.localizer import EncodedVideo, Localizer
from unloc_jax.media.reader_process import Limits, read_clips
from unloc_jax.predict import keep_programs
from unloc_jax.use import formats, page
from unloc_jax.use.questions import MAX_CHARACTERS

_ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")
_MAX_SENTENCES = 16
_KEPT_VIDEOS = 16


class Demo:
  """What the page does, without the page.

  Args:
    localizer: The model.
    folders: Videos elsewhere are not read.
    out: Where downloads are written.
    limits: Of reading a video.
    max_megabytes: Of a video file.
  """

  def __init__(
    self,
    localizer: Localizer,
    folders: Sequence[pathlib.Path],
    out: pathlib.Path,
    limits: Limits,
    max_megabytes: int,
  ):
    self._localizer = localizer
    self._folders = [folder.resolve() for folder in folders]
    self._out = out
    self._limits = limits
    self._max_megabytes = max_megabytes
    self._encoded: collections.OrderedDict[str, EncodedVideo] = (
      collections.OrderedDict()
    )
    self._lock = threading.Lock()

  def answer(
    self, video: str | None, sentences: str, top_k: float
  ) -> tuple[str, str, str]:
    """Timeline as HTML, and the paths of an SRT and a JSON file.

    Raises:
      ValueError: The video or a sentence cannot be used; one line says why.
    """
    if not video:
      raise ValueError("there is no video yet; upload or pick one")
    wanted = [line.strip() for line in sentences.splitlines() if line.strip()]
    if not wanted:
      raise ValueError("there is no sentence yet; write one per line")
    if len(wanted) > _MAX_SENTENCES:
      raise ValueError(
        f"{len(wanted)} sentences, at most {_MAX_SENTENCES} are asked at once"
      )
    encoded = self._encode(self._checked(video))
    answers = self._localizer.ask(encoded, wanted, max(1, int(top_k)))
    moments = [moment for answer in answers for moment in answer.moments]
    folder = self._out / uuid.uuid4().hex
    folder.mkdir()
    paths = []
    for name in ("srt", "json"):
      path = folder / f"moments.{name}"
      path.write_text(formats.FORMATS[name](moments), encoding="utf-8")
      paths.append(str(path))
    return page.timeline(answers, encoded.duration), paths[0], paths[1]

  def _checked(self, video: str) -> str:
    """The real path of a video that may be read."""
    path = pathlib.Path(video).resolve()
    if not any(path.is_relative_to(folder) for folder in self._folders):
      raise ValueError("the video lies outside the page's folders; upload it")
    if path.suffix.lower() not in _ENDINGS:
      raise ValueError(
        f"{path.name}: its name does not end in one of {', '.join(_ENDINGS)}"
      )
    if not path.is_file():
      raise ValueError(f"{path.name}: there is no such video")
    if path.stat().st_size > self._max_megabytes << 20:
      raise ValueError(
        f"{path.name}: larger than {self._max_megabytes} MB; cut it"
      )
    return str(path)

  def _encode(self, path: str) -> EncodedVideo:
    with self._lock:
      if path in self._encoded:
        self._encoded.move_to_end(path)
        return self._encoded[path]
    clips = read_clips(path, self._localizer.export, self._limits)
    video = self._localizer.encode_clips(pathlib.Path(path).stem, clips)
    with self._lock:
      self._encoded[path] = video
      while len(self._encoded) > _KEPT_VIDEOS:
        self._encoded.popitem(last=False)
    return video


def build(demo: Demo, examples: Sequence[str]) -> Any:
  """The page, a gradio.Blocks."""
  import gradio as gr

  def answer(video, sentences, top_k):
    try:
      return demo.answer(video, sentences, top_k)
    except ValueError as error:
      raise gr.Error(str(error)) from error

  with gr.Blocks(title="Find a moment") as blocks:
    gr.Markdown("# Find a moment\nA video, a sentence per line, a timeline.")
    with gr.Row():
      video = gr.Video(
        label="Video", sources=["upload"], elem_id=page.PLAYER, height=320
      )
      with gr.Column():
        sentences = gr.Textbox(
          label="Sentences, one per line",
          lines=4,
          max_length=_MAX_SENTENCES * (MAX_CHARACTERS + 1),
        )
        top_k = gr.Slider(1, 10, value=3, step=1, label="Moments of each")
        button = gr.Button("Find", variant="primary")
    found = gr.HTML(label="Timeline", elem_id="timeline")
    with gr.Row():
      srt = gr.File(label="SRT", interactive=False)
      as_json = gr.File(label="JSON", interactive=False)
    if examples:
      gr.Examples([[path] for path in examples], [video])
    button.click(
      answer, [video, sentences, top_k], [found, srt, as_json], api_name="find"
    )
  return blocks


def _flags(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    prog="python -m unloc_jax.demo", description=__doc__.split("\n")[0]
  )
  add = parser.add_argument
  add("--export", required=True, help="folder of the exported model")
  add("--examples", help="folder of videos to pick from")
  add("--host", default="127.0.0.1", help="address to serve on (127.0.0.1)")
  add("--port", type=int, default=7860)
  add("--max_megabytes", type=int, default=200, help="of an upload")
  add("--max_seconds", type=float, default=30.0, help="to read a video")
  return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
  """Serves the page until interrupted."""
  flags = _flags(argv)
  keep_programs()
  with tempfile.TemporaryDirectory(prefix="unloc_demo_") as folder:
    root = pathlib.Path(folder)
    for name in ("uploads", "downloads"):
      (root / name).mkdir()
    # Read when Gradio is imported.
    os.environ["GRADIO_TEMP_DIR"] = str(root / "uploads")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
      blocks, folders = _page(flags, root)
    except (ValueError, OSError) as error:
      sys.exit(f"error: {error}")
    except ImportError as error:
      sys.exit(f"error: {error}; pip install 'unloc_jax[demo]'")
    blocks.queue(max_size=32).launch(
      server_name=flags.host,
      server_port=flags.port,
      max_file_size=f"{flags.max_megabytes}mb",
      allowed_paths=folders,
      share=False,
    )


def _page(flags, root: pathlib.Path) -> tuple[Any, list[str]]:
  """The page, and the folders beyond uploads that it serves files from."""
  folders = [root / "downloads"]
  examples: list[str] = []
  if flags.examples:
    chosen = pathlib.Path(flags.examples)
    examples = [
      str(path)
      for path in sorted(chosen.glob("*"))
      if path.suffix.lower() in _ENDINGS
    ][:12]
    if not examples:
      raise FileNotFoundError(f"--examples {chosen}: there are no videos there")
    folders.append(chosen.resolve())
  demo = Demo(
    Localizer.from_export(flags.export),
    [root / "uploads", *folders],
    root / "downloads",
    Limits(seconds=flags.max_seconds),
    flags.max_megabytes,
  )
  return build(demo, examples), [str(path) for path in folders]


if __name__ == "__main__":
  main()
