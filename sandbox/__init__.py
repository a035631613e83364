"""Three real source systems on loopback, filled with one deterministic day.

A real S3 protocol endpoint, a real PostgreSQL and a real HTTP API, for demos and tests. The
pipeline reads them like any other source; nothing in `loaders/` or `supervisor/` knows about this
package.
"""
