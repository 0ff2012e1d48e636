"""Daemons: they run by themselves, beside the workspaces."""
