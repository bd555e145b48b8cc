"""Run multinic as `python -m multinic`."""

from multinic.cli import main

main()
