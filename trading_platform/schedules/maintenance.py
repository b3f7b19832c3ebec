"""The nightly schedules; on by default.

``maintenance``, because retention must be applied; ``features_audit``, because nobody notices a look-ahead otherwise.
"""

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

features_audit_schedule = ScheduleDefinition(
    name="features_audit",
    job_name=jobs.features_audit.name,
    cron_schedule="30 4 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Each night: the point-in-time audit of a sample of the features, another one each day.",
)
