"""Unit tests mirror the source; integration tests talk to real servers; end to end, a really started system."""
