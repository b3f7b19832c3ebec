"""Bars and trades from files in common formats.

In the order a file passes through: :mod:`contents` (path to bytes, decompressed), :mod:`tables` (bytes
to rows), :mod:`formats` (meaning of the columns), :mod:`names` (information in the file's name), :mod:`times`
(text to UTC), :mod:`reading` (all of it, screened), :mod:`landing` (the accepted bars on disk) and
:mod:`source` (those bars as a ``BarSource``).
"""
