"""The page to try a model on: all that it shows, and what its button does."""

import functools
import html
import os
import pathlib
import socket
import tempfile
import uuid
from collections.abc import Sequence
from typing import Any

from unloc_jax import files
from unloc_jax.use import formats
from unloc_jax.use.answers import Answer
from unloc_jax.use.console import one_line
from unloc_jax.use.formats import clock
from unloc_jax.use.frames import Limits
from unloc_jax.use.localizer import Localizer
from unloc_jax.use.questions import MAX_CHARACTERS

_ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")
# Of a model that only hears, beside those of videos.
_SOUNDS = (".wav", ".mp3", ".ogg", ".m4a", ".flac")
_MAX_SENTENCES = 16
_MAX_EXAMPLES = 12
_MAX_TOP = 10
_KEPT_VIDEOS = 16
_MEMORY_GIB = 2.0
_VIDEO_SECONDS = 3600.0

_PLAYER = "player"
_WIDTH, _HEIGHT = 1000, 70
_BUTTON = (
  "border:1px solid #e76f51;border-radius:6px;padding:2px 8px;"
  "font-size:0.8rem;font-weight:400"
)
_AXIS = "display:flex;justify-content:space-between;font-size:0.7rem"


def serve(
  export: str,
  examples: str | None,
  host: str,
  port: int,
  max_megabytes: int,
  max_seconds: float,
) -> None:
  """Serves the page until interrupted; arguments as of `unloc_jax.demo`.

  Raises ValueError or OSError where the model or the examples cannot be read,
  ImportError where Gradio is not installed.
  """
  _check_address(host, port)
  with tempfile.TemporaryDirectory(prefix="unloc_demo_") as root:
    uploads = pathlib.Path(root, "uploads")
    downloads = pathlib.Path(root, "out")
    # Read when Gradio is imported.
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    shown, served = [], [downloads]
    if examples:
      shown = _files(examples)
      served.append(pathlib.Path(examples).resolve())
    localizer = Localizer.from_export(
      export, Limits(max_seconds, max_seconds, _MEMORY_GIB, _VIDEO_SECONDS)
    )
    page = Page(localizer, [uploads, *served], downloads, max_megabytes)
    page.build(shown).queue(max_size=32).launch(
      server_name=host,
      server_port=port,
      max_file_size=f"{max_megabytes}mb",
      allowed_paths=[str(folder) for folder in served],
      share=False,
    )


def _check_address(host: str, port: int) -> None:
  """Raises OSError where nothing can be served, before the model is read."""
  family = socket.AF_INET6 if ":" in host else socket.AF_INET
  try:
    socket.create_server((host, port), family=family).close()
  except OSError as error:
    where = f"--host {host} --port {port}"
    raise OSError(f"{where}: {error.strerror}; choose another") from error


def _files(folder: str) -> list[str]:
  """Videos of a folder to pick from, by name; or recordings."""
  paths = sorted(pathlib.Path(folder).glob("*"))
  kinds = (*_ENDINGS, *_SOUNDS)
  found = [str(path) for path in paths if path.suffix.lower() in kinds]
  if not found:
    raise FileNotFoundError(f"--examples {folder}: there are no videos there")
  return found[:_MAX_EXAMPLES]


class Page:
  """Reads videos within `folders` alone; writes downloads to `out`."""

  def __init__(
    self,
    localizer: Localizer,
    folders: Sequence[pathlib.Path],
    out: pathlib.Path,
    max_megabytes: int,
  ):
    self._localizer = localizer
    self._folders = [folder.resolve() for folder in folders]
    self._out = out
    self._max_megabytes = max_megabytes
    self._only_hears = localizer.export.source.extract == "sound"
    self._endings = (*_ENDINGS, *_SOUNDS * self._only_hears)
    self._encode = functools.lru_cache(_KEPT_VIDEOS)(localizer.encode_video)

  def build(self, examples: Sequence[str]) -> Any:
    """The page with its fields and buttons, a gradio.Blocks."""
    import gradio as gr

    def answer(*asked: Any) -> tuple[str, str, str]:
      try:
        return self.answer(*asked)
      except OSError as error:
        # Nobody outside needs to know where files lie.
        raise gr.Error(f"the server: {error.strerror or 'failed'}") from error
      except ValueError as error:
        raise gr.Error(one_line(str(error))) from error

    with gr.Blocks(title="Find a moment") as blocks:
      gr.Markdown("# Find a moment\nA video, a sentence per line, a timeline.")
      with gr.Row():
        given = {"sources": ["upload"], "elem_id": _PLAYER}
        if self._only_hears:
          video = gr.Audio(label="Recording", type="filepath", **given)
        else:
          video = gr.Video(label="Video", height=320, **given)
        with gr.Column():
          sentences = gr.Textbox(
            label="Sentences, one per line",
            lines=4,
            max_length=_MAX_SENTENCES * (MAX_CHARACTERS + 1),
          )
          top_k = gr.Slider(
            1, _MAX_TOP, value=3, step=1, label="Moments of each"
          )
          button = gr.Button("Find", variant="primary")
      found = gr.HTML(label="Timeline", elem_id="timeline")
      with gr.Row():
        downloads = [
          gr.File(label=label, interactive=False) for label in ("SRT", "JSON")
        ]
      if examples:
        gr.Examples([[path] for path in examples], [video])
      asked = [video, sentences, top_k]
      button.click(answer, asked, [found, *downloads], api_name="find")
    return blocks

  def answer(
    self, video: str | None, sentences: str, top_k: float
  ) -> tuple[str, str, str]:
    """Timeline as HTML, and the paths of an SRT and a JSON file.

    ValueError says in a line which video or sentence cannot be used.
    """
    if not video:
      raise ValueError("there is no video yet; upload or pick one")
    if not isinstance(top_k, (int, float)) or not 1 <= top_k <= _MAX_TOP:
      raise ValueError(f"{top_k!r:.20} moments of each; from 1 to {_MAX_TOP}")
    lines = str(sentences or "").splitlines()
    wanted = [line.strip() for line in lines if line.strip()]
    if not wanted:
      raise ValueError("there is no sentence yet; write one per line")
    if len(wanted) > _MAX_SENTENCES:
      raise ValueError(
        f"{len(wanted)} sentences, at most {_MAX_SENTENCES} are asked at once"
      )
    path = self._checked(video)
    try:
      encoded = self._encode(path)
    except ValueError as error:
      # Nobody outside needs to know where uploads lie.
      raise ValueError(str(error).replace(str(path), path.name)) from error
    answers = self._localizer.ask(encoded, wanted, int(top_k))
    moments = [moment for answer in answers for moment in answer.moments]
    stem = self._out / uuid.uuid4().hex / "moments"
    for name in ("srt", "json"):
      files.write_text(f"{stem}.{name}", formats.FORMATS[name](moments))
    shown = "\n".join(timeline(answer, encoded.duration) for answer in answers)
    return shown, f"{stem}.srt", f"{stem}.json"

  def _checked(self, video: str) -> pathlib.Path:
    """The real path of a video that may be read."""
    path = pathlib.Path(video).resolve()
    if not any(path.is_relative_to(folder) for folder in self._folders):
      raise ValueError("the video lies outside the page's folders; upload it")
    if path.suffix.lower() not in self._endings:
      known = ", ".join(self._endings)
      raise ValueError(f"{path.name}: its name does not end in one of {known}")
    if not path.is_file():
      raise ValueError(f"{path.name}: there is no such video")
    if path.stat().st_size > self._max_megabytes << 20:
      raise ValueError(
        f"{path.name}: larger than {self._max_megabytes} MB; cut it"
      )
    return path


def timeline(answer: Answer, duration: float) -> str:
  """A query's curve, moments as bars and buttons; all text is escaped."""
  bars, buttons, scale = [], [], _WIDTH / max(duration, 1e-6)
  for place, m in enumerate(answer.moments):
    # What a click does: the player jumps there and plays.
    seek = (
      f"const v=document.querySelector('#{_PLAYER} video,#{_PLAYER} audio');"
      f"if(v){{v.currentTime={m.start:.3f};v.play()}}"
    )
    times = f"{clock(m.start)} - {clock(m.end)}"
    bars.append(
      f'<rect x="{m.start * scale:.1f}" y="0" height="{_HEIGHT}" '
      f'width="{max(2.0, (m.end - m.start) * scale):.1f}" '
      f'fill="#e76f51" opacity="{0.2 if place else 0.55}" '
      f'style="cursor:pointer" onclick="{seek}"><title>{times}</title></rect>'
    )
    buttons.append(
      f'<button type="button" class="moment" onclick="{seek}" '
      f'style="{_BUTTON}">{times} ({m.score:.2f})</button>'
    )
  top = max(float(answer.relevance.max(initial=0.0)), 1e-3)
  heights = _HEIGHT * (1 - answer.relevance / top)
  curve = zip(answer.times * scale, heights, strict=True)
  points = " ".join(f"{x:.1f},{y:.1f}" for x, y in curve)
  return (
    '<div class="answer" style="margin-bottom:14px">'
    f"<b>{html.escape(answer.query)}</b>"
    f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" '
    f'style="width:100%;height:{_HEIGHT}px;display:block;background:#f4f4f4">'
    f'{"".join(bars)}<polyline points="{points}" fill="none" stroke="#264653" '
    'stroke-width="2" pointer-events="none" '
    'vector-effect="non-scaling-stroke"/></svg>'
    f'<div style="{_AXIS}"><span>0</span><span>{clock(duration)}</span></div>'
    f"{' '.join(buttons)}</div>"
  )
