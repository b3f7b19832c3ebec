"""From bars to indicators and features."""
