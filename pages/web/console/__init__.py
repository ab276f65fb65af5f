"""The web console at ``/_admin``: pages for people, rendered here, over the same services as the Admin API."""
