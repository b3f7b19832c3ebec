"""Numbers in files: how they are written, and which of them is the volume."""
