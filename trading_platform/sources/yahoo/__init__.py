"""Yahoo Finance through the library yfinance: best effort, for personal use (docs/sources/yahoo.md).

- :mod:`.client` asks, and tells throttling from trouble and from nothing.
- :mod:`.contract` holds the library's frames to a declared shape: what comes after it is ours.
- :mod:`.restore` makes raw prices of Yahoo's, which are adjusted for splits.
- :mod:`.source` is Yahoo as a source of bars and of corporate actions.
"""
