"""What people see and hear: transcript, consoles, closing box, report, alerts, advice."""
