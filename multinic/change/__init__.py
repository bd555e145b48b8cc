"""Carry out a plan inside a checkpoint: apply, verify, restore, give back; recover an interrupted change.

The plan says which changes are made; nothing here reports them.
"""
