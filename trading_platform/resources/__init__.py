"""Configuration and secrets made into ready sources and stores."""
