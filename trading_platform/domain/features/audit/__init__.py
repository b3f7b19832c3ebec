"""The audit of stored features: what was known at a time, the comparison with it, and what a difference comes from.

:mod:`trading_platform.workflows.features.audit` runs it over the store. The trial of a definition, which needs no
stored values, is in :mod:`trading_platform.domain.features.trial`.
"""
