"""`docs` writes one static page, or says in words why it can't."""

from __future__ import annotations

from pathlib import Path

from end_to_end.helpers import orchestrate


def test_the_page_is_written_and_a_broken_project_is_said(tmp_path: Path) -> None:
    made = orchestrate(tmp_path, "docs", "--output", "new/page.html")
    assert (made.exit_code, made.output) == (0, "new/page.html\n"), made.errors
    page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "<html" in page[:5_000].lower()
    assert "model.goalkeeper.int_events_checked" in page
    assert "exposure.goalkeeper.quality_report" in page
    assert orchestrate(tmp_path, "init", ".").exit_code == 0
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "broken.sql").write_text("select * from {{ ref('nowhere') }}")
    broken = orchestrate(tmp_path, "docs", "--output", "new/page.html")
    assert broken.exit_code == 2, broken.errors
    assert "Error: dbt docs can't be generated: " in broken.errors
    assert "Traceback" not in broken.errors
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
