"""Frozen values, errors, words and paths: every other room uses them.

Nothing here decides, reads or changes anything, or imports another room.
"""
