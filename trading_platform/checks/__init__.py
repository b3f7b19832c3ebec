"""The platform's asset checks, thin: scope in, workflow called, findings out."""
