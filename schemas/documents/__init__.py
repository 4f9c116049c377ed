"""The documents that clients and downstream readers go by, generated from the types: OpenAPI, AsyncAPI, and a page."""
