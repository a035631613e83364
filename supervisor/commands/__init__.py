"""What people type: each command gathers its answer, writes it for people or as JSON, and returns an exit code."""
