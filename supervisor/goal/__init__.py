"""goal.md, compiled into criteria and facts."""
