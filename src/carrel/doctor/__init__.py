"""Walks the way that a browser goes, and names what is wrong, why, and what helps."""
