"""Rules for rows, gaps, completeness and inactivity. They work on given data and read no store."""
