"""Live state, channels, rate limiters and nonces in Redis. Nothing here is the only copy."""
