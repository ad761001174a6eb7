"""flax.linen modules: towers, fusion, feature pyramid, heads, UnLoc."""
