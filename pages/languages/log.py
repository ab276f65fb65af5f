"""The log has one language: what it tells of our messages, it tells in English."""

import logging

from pages.languages import in_english


class InEnglish(logging.Filter):
    """For a handler: says the messages and errors among a record's arguments in English."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; it is always told."""
        if isinstance(record.args, tuple):
            record.args = tuple(in_english(arg) if _may_be_message(arg) else arg for arg in record.args)
        return True


def _may_be_message(arg: object) -> bool:
    """Whether to look: a path is what it is, also where a file's name ends like a message."""
    return isinstance(arg, Exception) or (isinstance(arg, str) and not arg.startswith("/"))
