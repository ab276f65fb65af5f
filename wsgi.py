"""What gunicorn serves: ``gunicorn wsgi:app``."""

from pages.app import create_app, set_up_logging
from pages.config import load_config

set_up_logging()
app = create_app(load_config())
