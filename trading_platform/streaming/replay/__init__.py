"""Recordings of a feed, and their replay, or that of files of trades and quotes, by the live path's bar builder."""
