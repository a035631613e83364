"""Errors that every part may raise."""

from __future__ import annotations


class UsageError(Exception):
    """Raised for what the user must correct before anything can run; says what, its value and the next command."""
