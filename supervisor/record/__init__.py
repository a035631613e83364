"""What is kept of a run: journal, ledger, summary, history, archive, quarantine."""
