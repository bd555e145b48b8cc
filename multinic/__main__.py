"""Run multinic as `python -m multinic`."""

from multinic.cli.start import main

main()
