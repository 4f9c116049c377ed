"""The write side: check a command, append its event, observe it on the tail, answer. Start with messages.py."""
