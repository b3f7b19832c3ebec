"""The schedules of the jobs."""
