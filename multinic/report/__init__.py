"""The result of a pass, for people, scripts, monitoring and the database.

Takes results as values. Nothing here changes links or network files, or imports a room that does.
"""
