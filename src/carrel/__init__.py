"""Carrel: VS Code with an AI coding agent for every person on a small team, in rootless containers."""

__version__ = "0.1.0"
