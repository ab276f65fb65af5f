"""A form with files as it is sent: piece by piece, nothing of it kept (RFC 7578)."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_ESCAPED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})  # As browsers do.


@dataclass(frozen=True)
class Form:
    """A body on its way: ``chunks`` can be read once; ``length`` is None where it is not known before."""

    content_type: str
    chunks: Iterable[bytes]
    length: int | None


@dataclass(frozen=True)
class Upload:
    """A file of a form; ``length`` is None where it is not known before."""

    name: str
    file_name: str
    chunks: Iterable[bytes]
    length: int | None = None


def form_of(fields: Mapping[str, str], uploads: Sequence[Upload]) -> Form:
    """A form of text fields and files, the files last, in their order."""
    boundary = secrets.token_hex(16)
    parts: list[tuple[bytes, Iterable[bytes], int | None]] = []
    for name, text in fields.items():
        value = text.encode("utf-8", "replace")
        parts.append((_head(boundary, f'name="{name}"'), [value], len(value)))
    for upload in uploads:
        named = f'name="{upload.name}"; filename="{upload.file_name.translate(_ESCAPED)}"'
        parts.append((_head(boundary, named), upload.chunks, upload.length))
    end = f"--{boundary}--\r\n".encode()
    lengths = [None if length is None else len(head) + length + 2 for head, _, length in parts]
    whole = None if None in lengths else sum(filter(None, lengths)) + len(end)
    content_type = f"multipart/form-data; boundary={boundary}"
    return Form(content_type, _body([(head, chunks) for head, chunks, _ in parts], end), whole)


def _head(boundary: str, named: str) -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data; {named}\r\n\r\n".encode("utf-8", "replace")


def _body(parts: Sequence[tuple[bytes, Iterable[bytes]]], end: bytes) -> Iterator[bytes]:
    for head, chunks in parts:
        yield head
        yield from chunks
        yield b"\r\n"
    yield end
