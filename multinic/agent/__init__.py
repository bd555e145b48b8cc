"""The long-lived process: one pass after the other, when they are due, and HTTP beside them.

It decides when a pass runs, and nothing of what a pass does.
"""
