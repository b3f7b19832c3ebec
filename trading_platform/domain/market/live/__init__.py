"""The events of a feed, and the minutes that are built from them, live or replayed."""
