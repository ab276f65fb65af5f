"""Messages in other languages than the contract's Chinese, in which all of them are written.

A message stands in the code once, in Chinese, where it is said; its English stands in the table of ``english_*.py``
that fits it. ``template.py`` tells how an entry is written. A test names every message that has no entry yet.
"""

from typing import Literal

from pages.languages.english_answers import ANSWERS
from pages.languages.english_archives import ARCHIVES
from pages.languages.english_fields import FIELDS
from pages.languages.english_rules import RULES
from pages.languages.template import Catalogue

Language = Literal["zh", "en"]

_ENGLISH = Catalogue(ANSWERS, FIELDS, ARCHIVES, RULES)


def translated(message: str, language: Language) -> str:
    """A finished message of ours in a language; what is not known stays as it is. Never raises."""
    return message if language == "zh" else in_english(message)


def in_english(message: object) -> str:
    """A message as the log and the command line tell it."""
    return _ENGLISH.translated(str(message))
