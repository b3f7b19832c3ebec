"""The demonstration: an invented market through the real pipeline."""
