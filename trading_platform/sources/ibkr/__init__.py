"""Interactive Brokers through ib_async: bars, quotes, and what the account holds; read only.

:mod:`.session` is one connection, :mod:`.requests` sends requests over it, :mod:`.client` makes them synchronous;
:mod:`.source`, :mod:`.live.stream` and :mod:`.account` are the platform's interfaces. Modules without a connection are
pure: :mod:`.connection` (its states), :mod:`.maintenance`, :mod:`.limits`, :mod:`.durations`, :mod:`.contracts`,
:mod:`.error_codes` (their meaning) and :mod:`.parse`. ib_async is imported by the function that connects.
"""
