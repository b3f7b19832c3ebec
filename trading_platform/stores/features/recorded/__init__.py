"""What was stored at a time: when rows were recorded, files before they were replaced, and snapshots."""
