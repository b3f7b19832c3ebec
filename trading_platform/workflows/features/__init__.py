"""What is done with stored features: audit, statistics and imputation. ``workflows/derived`` builds them."""
