"""Use cases: what the platform does, without knowing of Dagster or the command line.

Sources are seen through :class:`trading_platform.sources.base.BarSource`; clock and progress are arguments.
"""
