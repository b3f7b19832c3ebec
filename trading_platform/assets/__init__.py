"""The platform's assets, thin: partition in, workflow called, report out as metadata."""
