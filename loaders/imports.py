"""Imports libraries in one thread at a time.

Two threads that import one library at once can see half of it, or fail over what it only tries to import.
"""

from __future__ import annotations

import threading
from importlib import import_module

LOCK = threading.RLock()


def import_alone(*modules: str) -> None:
    """Import the modules while no other thread imports any by this function."""
    with LOCK:
        for module in modules:
            import_module(module)
