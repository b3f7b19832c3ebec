"""The writes of the live stream to the schema ``market_data``: bars, coverage and position in one transaction."""
