"""The page of a run: what it holds, and that it needs nothing else."""

import functools
import html.parser
import io
import re
import types

import numpy as np
import pytest
from clu import metric_writers
from matplotlib.figure import Figure
from PIL import Image

from tests import browser
from unloc_jax.annotations.arrays import FrameClasses, QueryMoments
from unloc_jax.config import schema
from unloc_jax.metrics import classification, recall, segmentation
from unloc_jax.metrics.report import Interval
from unloc_jax.results.drawing import curves, figures, page
from unloc_jax.results.drawing.figures import Event
from unloc_jax.results.drawing.gallery import Gallery, agreement
from unloc_jax.training.scoring import Scorer, ScoringError

EVIL = "<script>alert(1)</script>"


class Read(html.parser.HTMLParser):
  """What a page is made of; fails where tags do not close."""

  def __init__(self, text: str):
    super().__init__()
    self.titles: list[str] = []  # Of pictures
    self.sources: list[str] = []
    self.cells: list[str] = []
    self._open: list[str] = []
    self.feed(text)
    self.close()
    assert self._open == []

  def handle_starttag(self, tag, attributes):
    values = dict(attributes)
    assert tag not in ("script", "link", "iframe", "object")
    assert not any(name.startswith("on") for name in values)
    if tag == "img":
      self.titles.append(values["alt"])
      self.sources.append(values["src"])
    if tag not in ("meta", "img", "p"):
      self._open.append(tag)

  def handle_endtag(self, tag):
    assert self._open.pop() == tag

  def handle_data(self, data):
    if self._open and self._open[-1] == "td":
      self.cells.append(data)


def moments(count: int = 60):
  """A report on queries of 1 to 60 s; the later, the surer and righter."""
  queries = [
    QueryMoments(
      str(i),
      np.array([[0.0, 1.0 + i]]),
      np.array([[0.0, (1.0 + i) * (0.9 if i % 3 else 0.2), (i + 1) / count]]),
    )
    for i in range(count)
  ]
  return recall.evaluate(queries)


def picture() -> bytes:
  return figures.rendered(Figure(figsize=(1, 1)))


@pytest.fixture
def run(tmp_path):
  """A folder whose name, config and class names are markup."""
  workdir = tmp_path / "run <b>&amp;"
  workdir.mkdir()
  writer = metric_writers.SummaryWriter(str(workdir))
  for step in range(1, 31):
    writer.write_scalars(step, {"loss/total": 1 / step, "rate": 0.1})
  writer.write_scalars(30, {"val/R1@0.5": 66.7})
  writer.flush()
  config = schema.base().copy_and_resolve_references().unlock()
  config.data.path, config.seed = EVIL, 7
  drawn = {"best": [("0.95", picture())], "worst": [("0.05", picture())]}
  for split, report in (("val", moments()), ("unseen", classified())):
    folder = workdir / "results" / split
    page.write_part(folder, report, drawn)
  page.write(workdir, config)
  return types.SimpleNamespace(
    workdir=workdir, text=(workdir / "results/index.html").read_text()
  )


def classified():
  scores = np.random.default_rng(0).random((40, 3))
  labels = np.arange(40) % 3
  report = classification.evaluate(scores, labels, ("a", "$b_$", EVIL))
  report.intervals["top1"] = Interval(report.headline["top1"], 12.25, 47.75)
  return report


def test_a_page_holds_all_and_needs_nothing(run):
  read = Read(run.text)
  assert EVIL not in run.text
  assert not re.search(r"https?:|url\(|@import", run.text)
  prefix = "data:image/png;base64,"
  assert all(source.startswith(prefix) for source in read.sources)
  for title in (
    *("loss", "learning rate", "figures of val, %"),
    "Recall by duration of the moment",
    "Calibration: score of the best against share right",
    "Confusion of classes",
  ):
    assert title in read.titles
  assert read.titles.count("0.95") == read.titles.count("0.05") == 2
  at = read.cells.index("R1@0.5")
  assert read.cells[at + 1] == "66.67"
  at = read.cells.index("top1")
  assert read.cells[at + 2 : at + 4] == ["12.25", "47.75"]
  assert read.cells[read.cells.index("seed") + 1] == "7"
  assert "batch_size" not in " ".join(read.cells)
  assert not list(run.workdir.rglob("*.part*"))


def test_a_page_in_a_browser(run):
  with browser.opened() as opened:
    asked = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto((run.workdir / "results/index.html").as_uri())
    broken = "[...document.images].filter(i => !i.naturalWidth).length"
    assert opened.evaluate("document.images.length") > 8
    assert opened.evaluate(broken) == 0
    assert opened.title() == run.workdir.name
    assert EVIL in opened.locator("table").last.inner_text()
    assert [
      url for url in asked if not url.startswith(("file:", "data:"))
    ] == []


def test_the_latest_of_what_was_logged_counts(tmp_path):
  for shift in (0.0, 10.0):
    writer = metric_writers.SummaryWriter(str(tmp_path))
    for step in (1, 2 + int(shift / 10)):
      writer.write_scalars(step, {"loss/total": step + shift})
    writer.write_texts(1, {"said": "nothing"})
    writer.close()
  last = max(tmp_path.iterdir())
  last.write_bytes(last.read_bytes()[:-3])  # Killed while it was writing.
  found = curves.logged(tmp_path)
  assert found == {"loss/total": {1: 11.0, 2: 2.0, 3: 13.0}}


def test_confidence_and_confusion_face_the_examples():
  report = moments(30)
  right = report.values["R1@0.5"] > 0
  assert report.confidence is not None
  at = np.round(report.confidence * 30).astype(int) - 1
  assert (right == (at % 3 > 0)).all()

  truth, found = np.array([0, 0, 2, 2]), np.array([0, 2, 2, 5])
  video = FrameClasses("v", found, truth)
  names = ("background", "x", "y")
  chart = curves.of_report(segmentation.evaluate([video], classes=names))
  axis = chart["Confusion of classes"].axes[0]
  shown = [label.get_text() for label in axis.get_yticklabels()]
  assert shown == ["background", "y", "5"]
  shares = [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 0]]
  assert axis.images[0].get_array().tolist() == shares


def test_agreement_counts_misses_and_false_alarms():
  one, other = Event("a", 0.0, 2.0), Event("a", 0.0, 1.0)
  assert agreement([one], [one]) == 1
  assert agreement([one], [other]) == 0.5
  assert agreement([one], []) == agreement([], [one]) == 0
  assert agreement([one], [one, Event("b", 0.0, 2.0)]) == pytest.approx(2 / 3)


def test_the_best_and_the_worst_are_kept(tmp_path):
  config = schema.base().copy_and_resolve_references().unlock()
  config.eval.num_drawn = 5
  for count in (1, 3, 5, 20):
    gallery = Gallery(config, None)
    scores = np.arange(count) / 20
    for score in np.random.default_rng(0).permutation(scores):
      gallery.offer(score, 0.5, lambda: lambda: Figure(figsize=(1, 1)))
    drawn = gallery.write(tmp_path)
    few = min(count, 5)
    worst, best = scores[: (few + 1) // 2], scores[::-1][: few // 2]
    assert [float(score) for score, _ in drawn["worst"]] == worst.tolist()
    assert [float(score) for score, _ in drawn["best"]] == best.tolist()
  assert len(list(tmp_path.iterdir())) == 5
  first = tmp_path / "timeline_best_1.png"
  assert first.read_bytes() == drawn["best"][0][1]
  # Of failures the surest come first.
  gallery = Gallery(schema.base(), None)
  for sure in (0.1, 0.9, 0.5, 0.7):
    drawing = functools.partial(Figure, figsize=(1 + sure, 1))
    gallery.offer(0.0, sure, lambda drawing=drawing: drawing)
  worst = gallery.write(tmp_path)["worst"]
  widths = [Image.open(io.BytesIO(png)).width for _, png in worst]
  assert widths == [190, 170]


def test_a_page_that_cannot_be_written_costs_no_run(tmp_path):
  def write_page():
    raise OSError("No space left on device")

  evaluator = types.SimpleNamespace(
    run=lambda *_: moments(), write_page=write_page
  )
  state = types.SimpleNamespace(step=3, params={}, average=None)
  stop = types.SimpleNamespace(check_between=None)
  written = {}
  writer = types.SimpleNamespace(
    write_scalars=lambda _, values: written.update(values), flush=lambda: None
  )
  scorer = Scorer(evaluator, None, writer, stop, str(tmp_path))
  assert list(scorer.score(state, ["val"])) == ["val"]
  assert "val/mIoU" in written
  with pytest.raises(ScoringError, match="the page: OSError: No space left"):
    scorer.check()
