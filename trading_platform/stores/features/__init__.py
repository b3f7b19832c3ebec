"""The feature store: Parquet files, and the catalog in the schema ``features``."""
