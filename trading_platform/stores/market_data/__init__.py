"""The schema ``market_data``: bars, indicators, corporate actions, and the records about their completeness."""
