"""The tests, in tiers: see tests/tiers.py and CONTRIBUTING.md."""
