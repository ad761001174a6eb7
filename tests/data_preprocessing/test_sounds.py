"""Mixtures of recordings: what is annotated is what is there."""

import itertools
import json

import numpy as np
import pytest

from data_preprocessing.sounds import __main__ as command
from data_preprocessing.sounds import mixing, recordings, wordings
from tests.recordings import beeps, record, tone
from unloc_jax.media import sound

_LABELS = ("dog bark", "rain", "rooster", "baby cry")


def made_up(label, fold, take):
  """A recording of a class: its own tone, for its own time."""
  place = _LABELS.index(label)
  return tone(1 + place / 2 + take / 4, 300.0 * (place + 1) + 20 * fold)


@pytest.fixture(scope="module")
def library():
  return {
    label: {
      fold: [made_up(label, fold, take) for take in range(2)]
      for fold in range(1, 6)
    }
    for label in _LABELS
  }


def test_events_are_where_they_are_said_to_be(library):
  style = mixing.Style((1,), 0.0, (60, 60), gain=(0, 0), distinct=True)
  samples, events = mixing.mix(library, style, np.random.default_rng(3))
  assert samples.shape == (round(mixing.SECONDS * sound.RATE),)
  loud = np.abs(samples) > 0.1 * np.abs(samples).max()
  assert events
  for event in events:
    first, last = (round(x * sound.RATE) for x in (event.start, event.end))
    assert loud[first : first + 400].any()
    assert loud[last - 400 : last].any()
    assert not loud[max(0, first - 800) : first].any()
    assert not loud[last : last + 800].any()
  assert len({event.label for event in events}) == len(events)


def test_the_same_seed_makes_the_same_mixture(library):
  style = command.STYLES["train"]
  one, two, other = (
    mixing.mix(library, style, np.random.default_rng(seed))
    for seed in (1, 1, 2)
  )
  np.testing.assert_array_equal(one[0], two[0])
  assert one[1] == two[1] != other[1]


def test_a_background_is_not_asked_for(library):
  style = mixing.Style((1, 2), 1.0, (10, 10))
  for seed in range(10):
    _, events = mixing.mix(library, style, np.random.default_rng(seed))
    assert "rain" not in {event.label for event in events}


def test_sounds_overlap_where_they_may(library):
  style = mixing.Style((1,), 0.0, (20, 20), together=1.0)
  overlaps = 0
  for seed in range(5):
    _, events = mixing.mix(library, style, np.random.default_rng(seed))
    ordered = sorted(events, key=lambda event: event.start)
    overlaps += sum(a.end > b.start for a, b in itertools.pairwise(ordered))
    assert all(event.end <= mixing.SECONDS for event in events)
  assert overlaps


def test_pink_noise_has_as_much_in_every_octave():
  noise = mixing.pink(np.random.default_rng(0), 1 << 17)
  power = np.abs(np.fft.rfft(noise)) ** 2
  octaves = [power[2**i : 2 ** (i + 1)].sum() for i in range(10, 16)]
  np.testing.assert_allclose(octaves / np.mean(octaves), 1, atol=0.1)


def test_silence_is_cut_off():
  samples = beeps(3, [(1, 2)])
  assert len(recordings.active(samples)) == pytest.approx(sound.RATE, abs=200)
  assert not len(recordings.active(np.zeros(1000, np.float32)))


def test_wordings_of_tests_are_not_trained_on():
  for label in wordings.LABELS:
    assert not set(wordings.trained(label)) & set(wordings.held_out(label))
    assert len(wordings.held_out(label)) == 3
  assert wordings.trained("glass breaking")[0] == "glass breaking"
  assert not wordings.held_out("glass breaking")


@pytest.fixture
def folder(tmp_path):
  for place, label in enumerate(_LABELS):
    for fold in (1, 5):
      path = tmp_path / "esc" / f"{place:03d} - {label}" / f"{fold}-x.wav"
      path.parent.mkdir(parents=True, exist_ok=True)
      pieces = [(0, made_up(label, fold, 0))]
      record(path, pieces, rate=sound.RATE, layout="mono")
  return tmp_path / "esc"


def test_the_command(folder, tmp_path, capsys):
  out = tmp_path / "raw"
  flags = ["--esc10", folder, "--out", out, "--train", "3", "--test", "2"]
  leave = ["--leave_out", "rooster"]
  assert command.main(list(map(str, flags)) + leave) == 0
  trained, asked = (
    [json.loads(line) for line in (out / f"{name}.jsonl").open()]
    for name in ("train", "noise")
  )
  assert (len(trained), len(asked)) == (3, 2)
  said = [s for line in trained for s in line["segments"]]
  assert "rooster" not in {s["class"] for s in said}
  assert {s["kind"] for s in said} == {"name", "sentence"}
  for line in trained:
    there = {s["class"] for s in line["segments"]}
    gone = {"dog bark", "baby cry"} - there  # rain may be a background
    said = {text for name in gone for text in wordings.every(name)}
    assert bool(line["absent"]) == bool(gone)
    assert set(line["absent"]) <= said
  assert not any(line["absent"] for line in asked)
  held = [s for x in asked for s in x["segments"] if s["kind"] == "sentence"]
  assert all(s["text"] in wordings.held_out(s["class"]) for s in held)
  assert sound.read(out / trained[0]["video"]).duration == 45.0
  assert command.main([*map(str, flags), "--leave_out", "cow"]) == 1
  assert "--leave_out cow: give some of" in capsys.readouterr().err
  assert command.main(["--esc10", str(tmp_path / "no"), "--out", "x"]) == 1
