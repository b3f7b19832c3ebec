"""From sources to stored bars: plan, request, confirm empty responses, reconcile versions, store."""
