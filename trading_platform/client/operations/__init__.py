"""What an operator looks at through the client: incidents and pauses, rows in quarantine, the archive of journals."""
