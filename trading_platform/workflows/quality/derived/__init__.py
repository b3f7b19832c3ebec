"""Checks of what is computed from bars: indicators, features, their inputs' versions, Redis against the files."""
