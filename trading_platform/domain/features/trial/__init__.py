"""The trial of a definition before it is used, and the markets that it is tried on.

The audit of values that are stored already is in :mod:`trading_platform.domain.features.audit`.
"""
