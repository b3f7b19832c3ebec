"""The live process: what feeds say, on its way into Redis and the database."""
