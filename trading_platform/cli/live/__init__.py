"""Commands that follow or replay a feed, and the local exchange."""
