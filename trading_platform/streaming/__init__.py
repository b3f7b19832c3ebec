"""The live process: from feeds to Redis and the database."""
