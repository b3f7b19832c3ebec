"""A local exchange that speaks Kraken's public REST, for tests, trials and the demo.

:mod:`~trading_platform.simulator.server` starts it, :mod:`~trading_platform.simulator.rest` knows
the form of every answer, :mod:`~trading_platform.simulator.faults` breaks answers on demand. What
is traded comes from a market: :mod:`~trading_platform.simulator.seeded` makes one up from a seed,
:mod:`~trading_platform.simulator.recorded` replays files. The simulator knows nothing of the
platform but its domain; the platform reaches it over HTTP like any exchange.
"""
