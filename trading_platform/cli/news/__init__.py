"""The command `news`."""
