"""Shapes that sound: tones are when annotations say, and of whom."""

import json

import numpy as np

from data_preprocessing.synthetic import sounding
from unloc_jax.media import sound
from unloc_jax.media.video import FrameStream


def test_tones_are_heard_when_the_annotation_says(tmp_path):
  assert sounding.main([f"--out={tmp_path}", "--train=1", "--val=2"]) == 0
  lines = (tmp_path / "val.jsonl").read_text().splitlines()
  for line in map(json.loads, lines):
    path = tmp_path / line["video"]
    assert len(list(FrameStream(path, 1.0, 16))) > 10
    heard = sound.read(path)
    loud = np.zeros(len(heard.samples), bool)
    for segment in line["segments"]:
      first, last = (
        round(segment[end] * sound.RATE) for end in ("start", "end")
      )
      loud[first:last] = True
      spectrum = np.abs(np.fft.rfft(heard.samples[first:last]))
      found = np.argmax(spectrum) * sound.RATE / (last - first)
      (colour,) = (c for c in sounding.TONES if c in segment["text"])
      np.testing.assert_allclose(found, sounding.TONES[colour], rtol=0.02)
    power = heard.samples**2
    assert np.mean(power[loud]) > 100 * np.mean(power[~loud])


def test_films_are_the_same_again_and_not_written_twice(tmp_path):
  flags = ["--train=0", "--val=1"]
  for name in ("a", "b", "a"):
    before = sorted(tmp_path.glob("a/val/*.mp4"))
    times = [path.stat().st_mtime_ns for path in before]
    assert sounding.main([f"--out={tmp_path / name}", *flags]) == 0
    assert [path.stat().st_mtime_ns for path in before] == times
  for name in ("val/00000.mp4", "val.jsonl"):
    one, other = ((tmp_path / k / name).read_bytes() for k in "ab")
    assert one == other
