"""Clients for applications: Python (chat_client.py) and JavaScript (chat-client.mjs). They use nothing else of ours."""
