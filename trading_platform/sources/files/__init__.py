"""Bars and trades from files, in the shapes found in the wild.

In the order a file passes through: :mod:`contents` (path to bytes, decompressed), :mod:`tables` (bytes
to rows), :mod:`formats` (what the columns mean), :mod:`names` (what the file's name says), :mod:`times`
(text to UTC), :mod:`reading` (all of it, screened), :mod:`landing` (the accepted bars on disk) and
:mod:`source` (those bars as a ``BarSource``).
"""
