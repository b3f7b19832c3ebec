"""The outside: a package a vendor (client, wire, parse).

Bars are had behind :mod:`trading_platform.sources.base`, what happens now behind
:mod:`trading_platform.sources.live`.
"""
