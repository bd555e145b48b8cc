"""Configure the extra network interfaces of this host from a database."""

__version__ = "0.1.0"
