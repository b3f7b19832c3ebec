"""Shared basis of the stores in PostgreSQL: connections, COPY, migrations, roles, records, partitions.

It owns no tables.
"""
