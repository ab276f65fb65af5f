"""Is an uploaded tar.gz plain: does every tar unpack it to exactly what was read from it here?

A plain one can be kept as it came, with nothing compressed again. The readers are generous and the
tars differ in what they make of rare forms, so this is narrow: what it does not know is not plain.
"""

import re

_NUMBER = rb"(?:[0-7]{7}\0|[0-7]{6}\ \0)"
_LONG_NUMBER = rb"[0-7]{11}[\0\ ]"
_HEADER = re.compile(
    rb"""(?sx)
    .{100} (?P<mode>%(number)s)              # name
    %(number)s %(number)s                    # owner, group
    %(long)s %(long)s                        # size, time
    [0-7]{6} (?:\0\ |\ \0) . \0{100}         # checksum, type, link target
    (?:
        ustar\0 00 .{64} %(device)s .{155} \0{12}    # POSIX: names of owner and group, device, prefix
        | ustar\ \ \0 .{64} %(device)s \0{167}       # GNU
    )"""
    % {b"number": _NUMBER, b"long": _LONG_NUMBER, b"device": rb"(?:\0{16}|%b%b)" % (_NUMBER, _NUMBER)}
)
_PAX_VALUES = {
    b"path": re.compile(rb"(?s).*"),
    b"comment": re.compile(rb"(?s).*"),
    b"uname": re.compile(rb"(?s).*"),
    b"gname": re.compile(rb"(?s).*"),
    b"uid": re.compile(rb"[0-9]{1,9}"),
    b"gid": re.compile(rb"[0-9]{1,9}"),
    **dict.fromkeys((b"mtime", b"atime", b"ctime"), re.compile(rb"[0-9]{1,10}(?:\.[0-9]{1,20})?")),
}
# No program of another user's, no sharing by group, no file that anybody may change.
_HARMFUL_MODES = 0o7002
_FILE, _FOLDER = b"0", b"5"


class Plainness:
    """What is known of one archive so far; a reader shows it everything that it comes across."""

    def __init__(self) -> None:
        self.holds = True

    def broken(self) -> None:
        """Something was seen or left out that another tar might take in another way."""
        self.holds = False

    def see_gzip(self, head: bytes) -> None:
        """The first bytes of a gzip member: no flags, or the one for a file's name."""
        self.holds = self.holds and head[:3] == b"\x1f\x8b\x08" and head[3:4] in (b"\0", b"\x08")

    def see_header(self, block: bytes) -> None:
        """An extension's header: every field in its usual form."""
        self.holds = self.holds and _HEADER.fullmatch(block) is not None

    def see_entry(self, block: bytes, name: str, path: str) -> None:
        """An entry's header: as any, with a harmless mode, and a name that is ``path`` in a usual form."""
        header = _HEADER.fullmatch(block) if self.holds else None
        mode = int(header["mode"].strip(b"\0 "), 8) if header else _HARMFUL_MODES
        if block[156:157] == _FILE:
            is_usual = name in (path, f"./{path}") and mode & 0o600 == 0o600
        else:
            is_usual = block[156:157] == _FOLDER and name in _names_of_folder(path) and mode & 0o700 == 0o700
        self.holds = is_usual and mode <= 0o777 and not mode & _HARMFUL_MODES

    def see_pax(self, records: dict[bytes, bytes]) -> None:
        """A pax header's records."""
        for key, value in records.items():
            form = _PAX_VALUES.get(key)
            self.holds = self.holds and form is not None and form.fullmatch(value) is not None


def _names_of_folder(path: str) -> tuple[str, ...]:
    return (f"{path}/", f"./{path}/", path, f"./{path}") if path else ("./", ".")
