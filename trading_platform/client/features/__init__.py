"""Features for agents: reads as of a moment, training sets, and snapshots that stay the same."""
