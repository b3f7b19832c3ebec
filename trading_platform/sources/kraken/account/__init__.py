"""A Kraken account, only ever read: balances, positions, fills."""
