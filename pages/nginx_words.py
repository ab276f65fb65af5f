"""What nginx itself says to who calls the API: the words of Pages, in both languages, as ``map`` blocks."""

from typing import get_args

from pages.config import Config
from pages.errors import OperationFailed, OutOfReach, TooManyRequests, UnknownAction, UploadTooLarge
from pages.languages import Language, translated


def words(config: Config) -> str:
    """A variable for each message, ``$pages_says_…``: its text in ``$pages_language``, to stand in JSON."""
    return "\n".join(
        _by_language(f"$pages_says_{name}", message)
        for name, message in {
            "too_large": str(UploadTooLarge(config.max_upload_bytes)),
            "too_many": TooManyRequests.message,
            "out_of_reach": OutOfReach.message,
            "no_action": UnknownAction.message,
            "failed": OperationFailed.message,
        }.items()
    )


def _by_language(variable: str, message: str) -> str:
    texts = "".join(f'    {language} "{translated(message, language)}";\n' for language in get_args(Language))
    return f"map $pages_language {variable} {{\n{texts}}}"
