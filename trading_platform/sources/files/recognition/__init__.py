"""What a file is, and of which instruments: formats, vendors' names, LEAN's folders, tables of several instruments."""
