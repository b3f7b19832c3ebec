"""The schema ``audit``: decisions and system events, and the archive that old months move to."""
