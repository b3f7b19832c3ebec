"""A local exchange that speaks Kraken's REST and WebSocket v2, for tests, trials and the demo.

:mod:`~trading_platform.simulator.server` starts it, :mod:`~trading_platform.simulator.rest` knows
the form of every answer, :mod:`~trading_platform.simulator.websocket` that of every live message, which
:mod:`~trading_platform.simulator.fault_injection` brings; :mod:`~trading_platform.simulator.ticker` has what
both say of quotes, :mod:`~trading_platform.simulator.private` and :mod:`~trading_platform.simulator.account`
an account, :mod:`~trading_platform.simulator.faults` breaks all of it on demand. What is traded
comes from a market: :mod:`~trading_platform.simulator.seeded` makes one up from a seed,
:mod:`~trading_platform.simulator.recorded` replays files. The simulator knows nothing of the
platform but its domain; the platform reaches it over the network like any exchange.
"""
