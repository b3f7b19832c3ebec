"""Quality checks and their results."""
