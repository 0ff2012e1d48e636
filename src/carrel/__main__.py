"""Lets `python -m carrel` stand in for the `carrel` command."""

from carrel.cli.main import main

main()
