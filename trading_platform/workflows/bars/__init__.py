"""From sources to stored bars: import, plan, backfill, roll up, reconcile, count coverage, retention."""
