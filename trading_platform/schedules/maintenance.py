"""The nightly schedule ``maintenance``; on by default, because retention must be applied."""

from dagster import DefaultScheduleStatus, ScheduleDefinition

from trading_platform import jobs

maintenance_schedule = ScheduleDefinition(
    name="maintenance",
    job_name=jobs.maintenance.name,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Each night: retention, new partitions, the hourly aggregate, detection of gaps, the audit archive.",
)
