"""The checks of an asset, run together: ours, and those of Great Expectations."""
