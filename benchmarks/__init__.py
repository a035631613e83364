"""Time and memory of the whole program, beside a hand-written one that does the same work."""
