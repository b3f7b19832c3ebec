"""Commands that stream or replay a feed, and the local exchange."""
