"""Extract one day from every configured source and append it, untouched, to the warehouse.

Every raw table is named `raw_<source>.<table>` and carries, after the source's own columns, the
same fixed columns on every target (see `loaders.raw`): `payload`, `load_date`, `source_object`,
`source_row`, `load_id`, `loaded_at`, `reject_reason`, `reject_detail`.

The package is run as a child process, `python -m loaders`, and speaks JSON lines on stdout.
Imports of dlt are lazy throughout: they cost a second, and the first requests need not wait.
"""
