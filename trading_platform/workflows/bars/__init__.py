"""Stored bars: roll up, count coverage, find stale partitions, retention."""
