"""The warehouse: an engine a file, the lock, the rights, the retry."""
