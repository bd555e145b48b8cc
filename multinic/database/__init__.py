"""The database: rows in, results out, on MySQL, MariaDB and SQLite alike.

Whatever comes out of a row is parsed here, once. Nothing of the host is looked at.
"""
