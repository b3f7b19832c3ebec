"""Live state, channels, rate limiters and nonces in Redis. None of it is the only copy."""
