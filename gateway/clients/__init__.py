"""Clients for applications, in Python and JavaScript; they use nothing else of ours, so that they can be copied."""
