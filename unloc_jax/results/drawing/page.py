"""A run on one page: WORKDIR/results/index.html, which needs no other file.

Every split keeps its part of the page beside its figures, so that a split that
is scored by itself leaves those of the others.
"""

import base64
import datetime
import functools
import html
import operator
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import ml_collections
from matplotlib.figure import Figure

from unloc_jax import files
from unloc_jax.config import schema
from unloc_jax.metrics import show, table
from unloc_jax.metrics.report import Report
from unloc_jax.results.drawing import curves, figures

_PART = "part.html"
_STYLE = """
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 70em }
td, th { border-bottom: 1px solid #ddd; padding: .2em .8em; text-align: right }
td { overflow-wrap: anywhere }
td:first-child, th:first-child { text-align: left; white-space: nowrap }
figure { display: inline-block; margin: 0 1em 1em 0 }
img { max-width: 100% }
"""


def write_part(
  folder: pathlib.Path,
  report: Report,
  drawn: Mapping[str, Iterable[tuple[str, bytes]]],
) -> None:
  """Writes a split's part of the page.

  Args:
    folder: WORKDIR/results/SPLIT.
    report: Of the split, with the intervals of its figures.
    drawn: Examples, as of `Gallery.write`.
  """
  now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
  seen = f"{report.seen} of {report.expected} examples, scored {now}"
  parts = [
    f"<section>\n<h2>{html.escape(folder.name)}</h2>\n<p>{html.escape(seen)}",
    _table(*show.headline(report.headline, report.intervals)),
    _charts(curves.of_report(report)),
  ]
  for title, pictures in drawn.items():
    parts.append(f"<h3>Scored {title}</h3>" if pictures else "")
    parts += [_image(*picture) for picture in pictures]
  _write(folder / _PART, [*parts, "</section>\n"])


def write(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
  """Writes the page of a run: the parts that there are, curves, the config."""
  results = workdir / "results"
  parts = sorted(results.glob(f"*/{_PART}"))
  values = curves.logged(workdir)
  charts = curves.training(values, [path.parent.name for path in parts])
  changed = []
  for path, key in schema.leaves():
    value = functools.reduce(operator.getitem, path.split("."), config)
    if value != key.default:
      changed.append((path, str(value), str(key.default)))
  name = html.escape(workdir.resolve().name)
  page = [
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
    f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
    f"<h1>{name}</h1>\n<p>{html.escape(config.task)}",
    *(path.read_text() for path in parts),
    "<h2>Training</h2>",
    _charts(charts) or "<p>Nothing was logged here.",
    "<h2>Config, where it differs from the base</h2>",
    _table(("key", "here", "base"), changed),
    "</body>\n</html>\n",
  ]
  _write(results / "index.html", page)


def _write(path: pathlib.Path, lines: Iterable[str]) -> None:
  """Writes letters that are not ASCII as references: no encoding is asked."""
  content = "\n".join(lines).encode("ascii", "xmlcharrefreplace")
  files.write_bytes(path, content)


def _table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
  def line(tag: str, cells: Iterable[object]) -> str:
    shown = (html.escape(table.show(cell)) for cell in cells)
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in shown)}</tr>"

  lines = [line("th", headers), *(line("td", row) for row in rows)]
  return "\n".join(["<table>", *lines, "</table>"])


def _charts(charts: Mapping[str, Figure]) -> str:
  drawn = ((title, figures.rendered(each)) for title, each in charts.items())
  return "\n".join(_image(title, png) for title, png in drawn)


def _image(title: str, png: bytes) -> str:
  """A picture within the page."""
  content, said = base64.b64encode(png).decode(), html.escape(title)
  source = f"data:image/png;base64,{content}"
  caption = f"<figcaption>{said}</figcaption>"
  return f'<figure>{caption}<img alt="{said}" src="{source}"></figure>'
