"""What schemathesis cannot guess from the API's document: most uploads are real archives. It loads this by itself."""

import schemathesis
from helpers import zip_of
from hypothesis import strategies as st

_NAMES = st.sampled_from(["index.html", "404.html", "docs/index.html", "a/b/c.css", "页.html", "../x", ".hidden"])
_FILES = st.dictionaries(_NAMES, st.binary(max_size=100), min_size=1, max_size=4)

schemathesis.openapi.format("binary", st.one_of(_FILES.map(zip_of), _FILES.map(zip_of), st.binary(max_size=200)))
