"""The GETs: queries on the read tables, never older than what their user knows, and their caches."""
