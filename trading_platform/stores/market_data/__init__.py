"""The schema ``market_data``: bars, indicators, corporate actions, and what is known about their completeness."""
