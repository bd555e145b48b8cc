"""`multinic doctor`: checks of what an operator would look at first. They yield findings, each with a hint.

Changes nothing.
"""
