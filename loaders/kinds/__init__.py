"""The kinds of source, a module each. A new kind is a file here and a line in `MODULES`.

A kind's module has `read(name, values, where)`, which makes a `loaders.sources.Source` from a configuration section. It is
imported when a source of its kind is read: the names of the kinds are needed without their libraries.
"""

MODULES = {
    "s3": "loaders.kinds.s3",
    "postgres": "loaders.kinds.postgres",
    "rest_api": "loaders.kinds.rest_api",
}
"""Module of each kind, in the order in which sources are shown."""
