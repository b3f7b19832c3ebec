"""News: articles and their identity, near-duplicates, links to instruments, and sentiment; computation only."""
