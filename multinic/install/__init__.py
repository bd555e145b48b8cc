"""Install the systemd units and the udev rule on a host without the package.

Passes and their flow are not known here.
"""
