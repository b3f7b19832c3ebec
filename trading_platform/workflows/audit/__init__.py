"""The archive of decisions and events."""
