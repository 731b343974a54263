"""Every kind of damage that is planted: what is done, where, in which merge, and what must be said of it.

Data alone: the doing is in of_deltas, of_values, of_files and of_adapters. A group is one file's table.
"""

from tests.verify.planted.catalogue.adapters import IN_ADAPTERS
from tests.verify.planted.catalogue.deltas import EXCHANGED, FOREIGN, IN_PART, MISSING
from tests.verify.planted.catalogue.files import BESIDE, TENSORS
from tests.verify.planted.catalogue.readings import READ
from tests.verify.planted.catalogue.row import Damage
from tests.verify.planted.catalogue.scales import SCALED
from tests.verify.planted.catalogue.values import ELEMENTS, IN_FULL, UNTOUCHED

GROUPS: dict[str, list[Damage]] = {
    "missing": MISSING,
    "in part": IN_PART,
    "scaled": SCALED,
    "read otherwise": READ,
    "exchanged": EXCHANGED,
    "foreign": FOREIGN,
    "elements": ELEMENTS,
    "untouched": UNTOUCHED,
    "in full": IN_FULL,
    "tensors": TENSORS,
    "beside": BESIDE,
    "adapters": IN_ADAPTERS,
}
CATALOGUE = tuple(damage for group in GROUPS.values() for damage in group)

__all__ = ["CATALOGUE", "GROUPS", "Damage"]
