"""Class lists, zero-shot splits and prompts are those published."""

import pytest

from unloc_jax.annotations import class_lists


@pytest.mark.parametrize(
  ("dataset_name", "count"), [("anet", 200), ("thumos14", 20)]
)
@pytest.mark.parametrize("percent", [25, 50])
def test_zero_shot_splits_are_ten_partitions(dataset_name, count, percent):
  splits = class_lists.zero_shot_splits(dataset_name, percent)
  assert len(splits) == 10
  for split in splits:
    assert len(split.unseen) == count * percent // 100
    assert sorted(split.seen + split.unseen) == sorted(
      class_lists.class_list(dataset_name)
    )
  assert len({split.unseen for split in splits}) == 10


def test_zero_shot_splits_are_the_published(shared):
  root = shared / "data" / "annotations" / "zeroshot_splits"
  root = root / "Open-set_Action_Localisation" / "train75pct__test25pct"
  for name, folder in (("anet", "ActivityNet1.3"), ("thumos14", "THUMOS14")):
    for i, split in enumerate(class_lists.zero_shot_splits(name, 25)):
      path = root / folder / "test" / f"split_{i}.list"
      names = [line.strip() for line in path.read_text().splitlines()]
      assert sorted(filter(None, names)) == list(split.unseen)


def test_prompts_and_lists():
  for kind in ("action", "step"):
    prompts = class_lists.prompt_templates(kind)
    assert all(p.count("{}") == 1 for p in prompts)
  for size in (400, 600, 700):
    assert len(set(class_lists.class_list(f"kinetics{size}"))) == size
  with pytest.raises(ValueError, match="anet, thumos14"):
    class_lists.zero_shot_splits("coin", 50)
