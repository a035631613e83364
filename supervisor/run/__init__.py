"""The day: collect, build, publish, ending; replay and backfill are ways to run it."""
