"""The fleet on web pages, read from the status tables and the controller's tables; it changes nothing.

What is asked of the database is in statements.py; one function per page feeds its HTML, JSON and CSV.
"""
