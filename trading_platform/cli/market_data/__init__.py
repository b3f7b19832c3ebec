"""Commands for bars and the data derived from them."""
