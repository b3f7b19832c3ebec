"""The commands of the feature store: definitions, their trial, and their values."""
