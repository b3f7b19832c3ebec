"""Interactive Brokers through ib_async: bars, quotes, and what the account holds; read only.

:mod:`.session` is one connection, :mod:`.questions` are asked over it, :mod:`.client` asks them from synchronous code;
:mod:`.source`, :mod:`.live` and :mod:`.account` are what the platform sees. What is decided without a connection is
pure: :mod:`.connection` (its states), :mod:`.maintenance`, :mod:`.limits`, :mod:`.durations`, :mod:`.contracts`,
:mod:`.answers` (what codes mean) and :mod:`.parse`. ib_async is imported by the function that connects.
"""
