"""Verify and repair: is what is on disk what was deployed, and if not, can it be again?

``Verifier.run`` re-reads everything and names what is wrong; with ``repair`` it rebuilds what can be rebuilt
(trees, links, twins, metadata, archives of which a sound tree is left) and moves the rest into
``data/quarantine/``. It deletes nothing but what Pages makes anew by itself (``cache/``, links). It
runs beside a serving installation: what looks wrong is looked at again under its lock before it is told.
"""

from pages.verify.findings import Checked, Problem, Report, told
from pages.verify.verifier import Verifier

__all__ = ["Checked", "Problem", "Report", "Verifier", "told"]
