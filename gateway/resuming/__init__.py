"""Catching up a socket that comes back: cursors, what is remembered, and what the read tables have."""
