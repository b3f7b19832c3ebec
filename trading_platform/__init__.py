"""trading-platform: the data platform of an autonomous trading bot, orchestrated by Dagster.

Nothing is imported here, so that importing one part does not load the others. Agents start at
:mod:`trading_platform.client`, operators at the ``trading-platform`` command, Dagster at
:mod:`trading_platform.definitions`.
"""

__version__ = "0.1.0"
