"""A local exchange with Kraken's REST and WebSocket v2, for tests, trials and the demo.

:mod:`~trading_platform.simulator.server` starts it, :mod:`~trading_platform.simulator.rest` builds the
responses of REST, :mod:`~trading_platform.simulator.websocket` the live messages, which
:mod:`~trading_platform.simulator.fault_injection` delivers; :mod:`~trading_platform.simulator.ticker` computes the
quotes of both, :mod:`~trading_platform.simulator.private` and :mod:`~trading_platform.simulator.account`
serve an account, :mod:`~trading_platform.simulator.faults` defines the faults that can be injected. Trades
come from a market: :mod:`~trading_platform.simulator.seeded` generates one from a seed,
:mod:`~trading_platform.simulator.recorded` replays files. The simulator imports only the domain of the
platform; the platform connects to it over the network as to any exchange.
"""
