"""The seam to this machine: its files and commands, the lock, signals, the log, settings, sockets of systemd.

Nothing here knows what a plan is. The room `kernel` reads and changes the kernel's network tables.
"""
