"""The commands ``rules`` and ``quarantine``."""
