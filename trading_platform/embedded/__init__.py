"""A local PostgreSQL and Redis, started, shared and stopped for the user.

``stack`` is the entry point (:func:`~trading_platform.embedded.stack.running_stack`). ``postgres`` and ``redis`` handle
one server each, ``leases`` the processes that use them, ``folders`` their directories, ``doctor`` the diagnosis.
"""
