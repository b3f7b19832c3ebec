"""Alerts: looks at what is wrong, keeps incidents, writes messages and sends them.

:mod:`trading_platform.workflows.alerts.evaluate` makes incidents of problems and writes the messages,
:mod:`trading_platform.workflows.alerts.deliver` sends them, :mod:`trading_platform.workflows.alerts.watch` does both
again and again. The rules are in :mod:`trading_platform.domain.alerts`.
"""
