"""Persistence: one module per store. Its SQL is in ``sql/queries/<schema>/<store>/<verb>.sql``."""
