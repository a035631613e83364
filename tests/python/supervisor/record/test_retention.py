"""`[retention]` is read strictly, from where the sources are configured."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.common.errors import UsageError
from supervisor.record.retention import Retention, read_retention


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "global"))
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    (tmp_path / ".dlt").mkdir()
    return tmp_path / ".dlt" / "config.toml"


def test_data_is_kept_for_ever_unless_a_number_of_days_is_given(config: Path) -> None:
    assert read_retention(30, {}) == Retention()
    assert (Retention().raw_days, Retention().archive_days) == (None, None)
    config.write_text('[retention]\nraw_days = 400\nruns_days = "forever"\nreports_days = 30\n')
    given = read_retention(30, {"RETENTION__REPORTS_DAYS": "60", "OTHER": "x"})
    assert given == Retention(raw_days=400, runs_days=None, reports_days=60)
    assert given.as_words() == "raw 400 days, archive for ever, landing 7 days, runs for ever, reports 60 days"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[retention]\nraw = 40", "raw is unknown. Known: raw_days, archive_days"),
        ("[retention]\nraw_days = 0", "raw_days = 0 is no number of days"),
        ("[retention]\nraw_days = true", "raw_days = True is no number of days"),
        ('[retention]\nruns_days = "1 week"', "runs_days = '1 week' is no number of days"),
        ("[retention]\nraw_days = 29", "is less than lookback_days = 30"),
        ("retention = 5", "retention must be a table"),
        ("[retention", "can't be read"),
    ],
)
def test_what_is_no_retention_is_told_with_its_value(config: Path, text: str, words: str) -> None:
    config.write_text(text)
    with pytest.raises(UsageError) as error:
        read_retention(30, {})
    assert words in str(error.value)
