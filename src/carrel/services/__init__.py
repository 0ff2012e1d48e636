"""Programs that systemd starts."""
