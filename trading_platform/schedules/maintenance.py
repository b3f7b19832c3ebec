"""When the database is kept in order: each night, on by default, because it deletes what the rules say is too old."""

from dagster import DefaultScheduleStatus, ScheduleDefinition

from trading_platform import jobs

maintenance_schedule = ScheduleDefinition(
    name="maintenance",
    job_name=jobs.maintenance.name,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Retention, partitions ahead, the hourly aggregate, the audit archive: each night.",
)
