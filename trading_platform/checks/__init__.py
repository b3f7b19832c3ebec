"""The platform's asset checks, thin: each takes a scope, calls a workflow and returns its findings."""
