"""Programs that run by themselves, beside the workspaces: a daemon, and what a timer starts."""
