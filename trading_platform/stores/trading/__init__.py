"""The schema ``trading``: orders, fills, positions and the outbox.

Decisions and system events are in :mod:`trading_platform.stores.audit.journal`.
"""
