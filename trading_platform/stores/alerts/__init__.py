"""Incidents, and the outbox of the messages that tell people of them; tables of the schema ``audit``."""
