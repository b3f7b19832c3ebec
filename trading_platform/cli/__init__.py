"""The ``trading-platform`` command, one module a family; :mod:`trading_platform.cli.main` puts them together."""
