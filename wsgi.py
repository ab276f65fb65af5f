"""What gunicorn serves: ``gunicorn wsgi:app``."""

from pages.app import create_app, set_up_logging
from pages.clock import Clock
from pages.config import config_in_force
from pages.work import in_background

set_up_logging()
app = create_app(config_in_force())
Clock(app.extensions["pages"].plans.run_due, in_background()).start()
