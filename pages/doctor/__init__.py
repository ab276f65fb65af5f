"""``pages doctor``: what an operator would otherwise find out late. Every check only looks, and leaves nothing behind.

``CHECKS`` in ``command`` names them in the order in which they are told; each is a function from what is ``Examined``
to findings.
"""

from pages.doctor.command import CHECKS, doctor
from pages.doctor.findings import Examined, Finding

__all__ = ["CHECKS", "Examined", "Finding", "doctor"]
