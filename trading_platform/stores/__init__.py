"""What the platform keeps, one module a store. SQL stands in ``sql/queries/<store>/<verb>.sql``."""
