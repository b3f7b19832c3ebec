"""Commands about servers, the schema, the archive, the account and rate limits."""
