"""dbt as a resident process: its invocations, its artifacts, and what the project declares."""
