"""The schema ``config``: instruments, strategies and risk limits."""
