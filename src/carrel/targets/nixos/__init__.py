"""The target `nixos`: its parts, and how it does what every target is asked."""
