"""What tests stand on: real servers (servers.py) and a really started system (system.py), as fixtures."""
