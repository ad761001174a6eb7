"""Videos in folds: what the reader makes of annotations.json."""

import json

import pytest

from unloc_jax.annotations import folds
from unloc_jax.annotations.reading import AnnotationError

GIVEN = {
  "classes_fine": ["background", "cut cheese", "peel", "add oil"],
  "classes_coarse": ["background", "cut"],
  "videos": [
    {
      "id": "01-1",
      "test_split": 2,
      "fps": 2.0,
      "T": 40,
      "segments_fine": [
        [0, 4, "background"],
        [4, 10, "peel"],
        [10, 20, "add oil"],
        [30, 36, "peel"],
      ],
      "segments_coarse": [[0, 40, "cut"]],
    }
  ],
}


def read(tmp_path, value):
  (tmp_path / "annotations.json").write_text(json.dumps(value))
  return folds.read(tmp_path)


def test_the_finest_labels_in_seconds(tmp_path):
  found = read(tmp_path, GIVEN)
  assert found.classes == ["cut cheese", "peel", "add oil"]
  (video,) = found.videos
  assert (video.split, video.duration) == ("fold_2", 20.0)
  assert [query.text for query in video.queries] == ["peel", "add oil"]
  spans = [(s.query, s.start, round(s.end, 2)) for s in video.segments]
  assert spans == [(0, 2.0, 5.0), (0, 15.0, 18.0), (1, 5.0, 10.0)]
  # The frame of an end is the next segment's.
  assert all(segment.end * 2 % 1 > 0.99 for segment in video.segments)


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"fps": 0}, "fps"),
    ({"T": None}, "'T'"),
    ({"segments_fine": [[0, 4, "fry"]]}, "fry"),
    ({"segments_fine": {}}, "must be a list"),
    ({"id": " "}, "is no id"),
  ],
)
def test_what_is_wrong_is_said(tmp_path, change, said):
  value = {**GIVEN, "videos": [{**GIVEN["videos"][0], **change}]}
  with pytest.raises(AnnotationError, match=said) as error:
    read(tmp_path, value)
  assert "annotations.json" in str(error.value)


def test_a_video_twice_is_refused(tmp_path):
  twice = {**GIVEN, "videos": 2 * GIVEN["videos"]}
  with pytest.raises(AnnotationError, match="names two videos"):
    read(tmp_path, twice)
