"""Where clouds tell a machine its secrets: addresses that no workspace may reach."""

from __future__ import annotations

LINK_LOCAL = "169.254.169.254"
"""AWS, Google, Azure, OpenStack, and most others."""

V4 = ("100.100.100.200", "168.63.129.16")
"""Alibaba; and Azure's host."""

V6 = "fd00:ec2::254"
"""AWS."""
