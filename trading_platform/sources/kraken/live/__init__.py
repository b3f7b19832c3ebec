"""Live data of Kraken: its WebSocket v2, and the quotes of its REST."""
