"""Use cases of the platform, independent of Dagster and the command line.

Sources are accessed through :class:`trading_platform.sources.base.BarSource`; clock and progress are arguments.
"""
