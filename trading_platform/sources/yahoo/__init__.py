"""Yahoo Finance through the library yfinance: best effort, for personal use (docs/sources/yahoo.md).

- :mod:`.client` sends requests, and distinguishes throttling, failures and missing data.
- :mod:`.frame_schema` checks the library's frames against a declared schema and converts them.
- :mod:`.unadjust` computes raw prices from Yahoo's, which are adjusted for splits.
- :mod:`.source` is Yahoo as a source of bars and of corporate actions.
"""
