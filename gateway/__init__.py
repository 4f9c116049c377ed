"""The client's door: sockets, live push, presence, GETs; it mounts the write side's routes. Start with app.py."""
