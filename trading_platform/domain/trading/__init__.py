"""Orders, positions and the state of an account as a broker reports it."""
