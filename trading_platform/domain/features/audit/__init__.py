"""The audit of stored features: the comparison with what could be known, and what a difference comes from.

:mod:`trading_platform.workflows.features.audit` runs it over the store. The trial of a definition, which needs no
stored values, is in :mod:`trading_platform.domain.features.trial`.
"""
