"""Clients of the SMS carriers, a file each, on one base class; `carriers.py` has their order of preference."""
