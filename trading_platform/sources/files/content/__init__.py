"""The content of files: bytes, tables, names of columns, and what a user says about them."""
