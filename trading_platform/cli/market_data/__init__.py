"""Commands about bars and what is derived from them."""
