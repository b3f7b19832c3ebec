"""Commands of the ledger and of trading."""
