"""Kraken's WebSocket v2 and the quotes of its REST: what happens now."""
