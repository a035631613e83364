"""Evidence in, one decision out. Pure: no effects."""
