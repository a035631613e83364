"""What every part may use: the request, text, processes, secrecy, files, printed commands."""
