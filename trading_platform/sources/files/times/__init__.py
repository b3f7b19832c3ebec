"""Times in files: converted to UTC, and onto the platform's grid."""
