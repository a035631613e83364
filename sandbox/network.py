"""Ports on loopback: free ones, and ones that refuse."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def refusing_port() -> tuple[socket.socket, int]:
    """Return a port that refuses connections for as long as the socket is kept."""
    holder = socket.socket()
    holder.bind((HOST, 0))
    return holder, int(holder.getsockname()[1])
