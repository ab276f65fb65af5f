"""What gunicorn serves: ``gunicorn wsgi:app``."""

from pages.app import create_app, set_up_logging
from pages.config import config_in_force

set_up_logging()
app = create_app(config_in_force())
