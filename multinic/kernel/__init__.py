"""The kernel's network: links, addresses, routes, rules, properties; read as values, changed one by one.

Files of network services are not known here, and nothing is decided.
"""
