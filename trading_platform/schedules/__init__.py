"""When the jobs run by themselves."""
