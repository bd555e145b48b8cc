"""`multinic demo`: the real commands in a network namespace of their own, with explanations.

Touches nothing of the machine.
"""
