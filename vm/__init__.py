"""A Debian 13 server to test the product on for real: in namespaces of this machine, or in an emulator.

`python -m vm`, `make vm`.
"""
