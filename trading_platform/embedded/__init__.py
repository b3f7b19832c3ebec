"""A local PostgreSQL and Redis, started, shared and stopped for the user.

``stack`` is the way in (:func:`~trading_platform.embedded.stack.running_stack`); ``postgres`` and
``redis`` know one server each, ``leases`` who uses them, ``folders`` where they live, ``doctor``
what is wrong with them.
"""
