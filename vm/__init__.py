"""A Debian 13 server in an emulator, to test the product for real; `python -m vm`, `make vm`."""
