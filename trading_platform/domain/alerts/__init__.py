"""Alerts: what is wrong now becomes incidents, and incidents become few messages.

:mod:`~trading_platform.domain.alerts.problems` has what observers report,
:mod:`~trading_platform.domain.alerts.incidents` how problems begin and end,
:mod:`~trading_platform.domain.alerts.notifications` which messages a person gets and when, and
:mod:`~trading_platform.domain.alerts.wording` in which words. They are pure; :mod:`trading_platform.workflows.alerts`
runs them over the stores.
"""
