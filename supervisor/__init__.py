"""The parent process: plans, judges, decides and reports; the loaders do the fetching."""
