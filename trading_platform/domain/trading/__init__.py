"""Orders, positions and what a broker says of an account."""
