"""What gunicorn serves: ``gunicorn wsgi:app``."""

from pages.app import create_app
from pages.clock import Clock
from pages.config import config_in_force
from pages.logs import set_up_logging
from pages.work import in_background, run_now

config = config_in_force()
set_up_logging(config.log_format)
app = create_app(config)
services = app.extensions["pages"]
Clock(services.plans.run_due, in_background()).start()
if config.webhook_url:  # In a thread of its own, which ends with the process: what it was sending is sent again.
    Clock(services.webhooks.run_due, run_now).start()
