"""The log has one language: what it tells of our messages, it tells in English."""

import logging

from pages.languages import in_english


class InEnglish(logging.Filter):
    """For a handler: says the messages and errors among a record's arguments in English."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; it is always told."""
        if isinstance(record.args, tuple):
            record.args = tuple(in_english(arg) if isinstance(arg, str | Exception) else arg for arg in record.args)
        return True
