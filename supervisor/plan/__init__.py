"""Budgets, strategy and the plan that `plan` prints."""
