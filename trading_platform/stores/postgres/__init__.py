"""What every store in PostgreSQL stands on: connections, COPY, migrations, roles, records, partitions.

No table of its own.
"""
