"""The decisions: pure functions and frozen values. Reads no clock, file, environment or socket."""
