"""What is checked, and how a check reports."""
