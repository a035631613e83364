"""One module a format: landed bytes in, Arrow tables of text out; what can't be read is a rejected record."""
