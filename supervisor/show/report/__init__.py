"""The quality report, one page of HTML."""
