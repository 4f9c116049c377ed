"""The language that every part of the service shares: ids, topics, events, requests, frames, errors, and the judge.

Pure: nothing here does I/O, reads a clock or makes an id. Start with events.py, then judge.py and conversation.py.
"""
