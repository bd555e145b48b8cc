"""One pass: look, plan, carry out, verify, report; and `purge`, a pass that desires nothing.

The order of things is here. The things themselves are in the rooms below.
"""
