"""Which reader a file's name asks for."""

from __future__ import annotations

from loaders.formats.files import format_of


def test_formats_are_known_by_extension_also_gzipped():
    assert [format_of(key) for key in ("a.PARQUET", "x/b.csv.gz", "c.ndjson", "d.json.gz")] == [
        "Parquet",
        "CSV",
        "JSON lines",
        "JSON",
    ]
    assert format_of("a.xml") is None
    assert format_of("a.gz") is None
