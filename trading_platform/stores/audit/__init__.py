"""The schema ``audit``: decisions and system events, and the archive to which old months move."""
