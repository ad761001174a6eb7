"""What others report, to print beside ours. Percent."""

from collections.abc import Mapping

PUBLISHED: Mapping[str, Mapping[str, Mapping[str, float]]] = {
  "anet_captions": {
    "SnAG (C3D), val_2": {
      "R1@0.5": 47.4,
      "R1@0.7": 29.9,
      "R5@0.5": 82.6,
      "R5@0.7": 63.3,
    },
  },
  "charades_sta": {
    "SnAG (I3D)": {
      "R1@0.5": 65.2,
      "R1@0.7": 46.3,
      "R5@0.5": 93.0,
      "R5@0.7": 73.1,
    },
  },
  "qvhighlights": {
    "R2-Tuning": {
      "MR-full-R1@0.5": 67.7,
      "MR-full-R1@0.7": 51.9,
      "MR-full-mAP": 47.9,
      "HL-min-VeryGood-mAP": 39.5,
    },
  },
  "anet_tal": {
    "AdaTAD VideoMAE-L, no external classifier": {
      "mAP@0.5": 59.0,
      "mAP@0.75": 40.0,
      "mAP@0.95": 9.2,
      "mAP": 39.2,
    },
    "ActionFormer (TSP, external scores)": {
      "mAP@0.5": 54.7,
      "mAP@0.75": 37.8,
      "mAP@0.95": 8.4,
      "mAP": 36.6,
    },
  },
}
