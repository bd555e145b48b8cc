"""All decisions: pure functions from values to values.

The diff, naming, routing, safety rules, what a row may ask for, the new record. No file, socket or clock.
"""
