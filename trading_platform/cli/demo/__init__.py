"""The demonstration: data of an invented market in the real pipeline."""
