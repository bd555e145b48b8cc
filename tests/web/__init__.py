"""The dashboard on real databases, as its users start it, and in a real browser."""
