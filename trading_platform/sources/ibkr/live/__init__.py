"""Live data of Interactive Brokers: the instruments followed over a session, and their quotes."""
