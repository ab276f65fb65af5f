"""What ``gunicorn wsgi:app`` serves in the project folder."""

from pages.wsgi import app

__all__ = ["app"]
