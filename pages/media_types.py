"""File endings and their media types: a table of our own, the same on every machine.

Python's ``mimetypes`` reads ``/etc/mime.types`` where there is one, so its answers differ from host to
host; it also takes ``.tar.gz`` for an encoded tar, which browsers then unpack.
"""

DEFAULT = "application/octet-stream"

_TYPES = {
    "text/html": "html htm",
    "text/css": "css",
    "text/javascript": "js mjs cjs",
    "text/plain": "txt text log ini conf cfg diff patch",
    "text/markdown": "md markdown",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "text/calendar": "ics",
    "text/vcard": "vcf",
    "text/vtt": "vtt",
    "text/xml": "xml xsl",
    "text/yaml": "yaml yml",
    "application/json": "json map",
    "application/ld+json": "jsonld",
    "application/geo+json": "geojson",
    "application/manifest+json": "webmanifest",
    "application/rss+xml": "rss",
    "application/atom+xml": "atom",
    "application/xhtml+xml": "xhtml xht",
    "application/wasm": "wasm",
    "application/pdf": "pdf",
    "application/rtf": "rtf",
    "application/zip": "zip",
    "application/gzip": "gz tgz",
    "application/x-bzip2": "bz2 tbz2",
    "application/x-xz": "xz txz",
    "application/zstd": "zst",
    "application/x-7z-compressed": "7z",
    "application/x-tar": "tar",
    "application/vnd.rar": "rar",
    "application/java-archive": "jar",
    "application/epub+zip": "epub",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.ms-fontobject": "eot",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.android.package-archive": "apk",
    "application/vnd.debian.binary-package": "deb",
    "application/sql": "sql",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpg jpeg jfif",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/apng": "apng",
    "image/bmp": "bmp",
    "image/tiff": "tif tiff",
    "image/heic": "heic",
    "image/jxl": "jxl",
    "image/x-icon": "ico cur",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "font/ttf": "ttf",
    "font/otf": "otf",
    "font/collection": "ttc",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/ogg": "ogg oga opus",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/midi": "mid midi",
    "video/mp4": "mp4 m4v",
    "video/webm": "webm",
    "video/ogg": "ogv",
    "video/quicktime": "mov",
    "video/mpeg": "mpeg mpg",
    "video/mp2t": "ts",
    "video/x-msvideo": "avi",
    "video/x-matroska": "mkv",
    "application/vnd.apple.mpegurl": "m3u8",
    "application/dash+xml": "mpd",
    "model/gltf-binary": "glb",
    "model/gltf+json": "gltf",
    "model/stl": "stl",
}
_BY_ENDING = {ending: kind for kind, endings in _TYPES.items() for ending in endings.split()}
# Apple fetches this one without an ending and wants JSON.
_BY_NAME = {"apple-app-site-association": "application/json"}


# Beside text/*, +xml and +json: what shrinks by half or more when it is compressed.
_COMPRESSIBLE = {
    "application/json",
    "application/wasm",
    "application/sql",
    "application/rtf",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "font/ttf",
    "font/otf",
    "font/collection",
    "image/bmp",
    "image/x-icon",
    "model/stl",
}


def is_compressible(kind: str) -> bool:
    """Do files of this media type shrink when they are compressed?"""
    return kind.startswith("text/") or kind.endswith(("+xml", "+json")) or kind in _COMPRESSIBLE


def may_have_twins(path: str) -> bool:
    """Is a file of this name served compressed to those who accept it? (By its ending: nginx goes by that.)"""
    return path.rpartition("/")[2] not in _BY_NAME and is_compressible(media_type(path))


def by_ending() -> dict[str, str]:
    """The whole table: a file's ending (without the dot, in lower case) and its media type."""
    return dict(_BY_ENDING)


def by_name() -> dict[str, str]:
    """Files that have their media type by their whole name."""
    return dict(_BY_NAME)


def media_type(path: str) -> str:
    """The media type of a file by its name; ``application/octet-stream`` when unknown."""
    name = path.rpartition("/")[2]
    if name in _BY_NAME:
        return _BY_NAME[name]
    stem, dot, ending = name.rpartition(".")
    return _BY_ENDING.get(ending.lower(), DEFAULT) if dot and stem else DEFAULT
