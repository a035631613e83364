"""From what a source holds to the files that map it: a sample, what it looks like, and the texts written from that."""
