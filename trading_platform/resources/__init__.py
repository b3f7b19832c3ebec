"""Opens sources and stores from the configuration and its secrets."""
