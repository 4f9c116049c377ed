"""One client's socket: handshake, session, frames both ways, and the hub that feeds it."""
