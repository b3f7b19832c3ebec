"""How the live stream writes to the schema ``market_data``: bars, coverage and its position in one transaction."""
