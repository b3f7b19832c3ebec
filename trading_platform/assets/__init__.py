"""The platform's assets, thin: each takes partitions, calls a workflow and records its report as metadata."""
