"""Read access to a Kraken account: balances, positions, fills."""
