"""The target `host`: its parts, and how it does what every target is asked."""
