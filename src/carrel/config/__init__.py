"""The text of carrel.toml to a Site and back."""
