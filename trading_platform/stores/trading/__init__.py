"""The schema ``trading``: orders, fills, positions and the outbox.

What happened is in :mod:`trading_platform.stores.audit.journal`.
"""
