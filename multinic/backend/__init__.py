"""The backends: each module says which files an interface needs, tries them out and activates them.

Beside them is what they share: templates, netlink steps, and the choice of the backend of a host.
"""
