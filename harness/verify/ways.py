"""The ways in which a merge may compute and round: those that are right, and those that are less exact or mistakes.

Data alone: what each means is done in `compare.py`.
"""

from __future__ import annotations

from typing import NamedTuple


class Way(NamedTuple):
    """How a merge may compute and round; all of them are right, if not equally exact."""

    name: str
    delta_first: bool = False
    """The delta is rounded to the stored dtype before the sum is."""
    base_first: bool = False
    """Base is, where merged is stored in another dtype."""
    factors_in: str = ""
    """A dtype to which the factors are rounded before they are multiplied."""
    product_in: str = ""
    """And one to which their product is, before it is scaled."""
    delta_in: str = ""
    """And after that."""
    sum_in: str = ""
    """A dtype to which base, delta and sum are rounded, whatever they are stored in."""
    twice: bool = False
    """The delta was merged once before, and the sum stored. Not a right way, but a way."""
    in_base_dtype: bool = False
    """The sum is rounded as base is stored, and then stored in a wider dtype."""
    tolerance: float = 0.0
    """How much less exactly than in float32 products may be, relative to the sizes of their terms."""

    @property
    def is_plain(self) -> bool:
        """Whether all that happens to the product of the float32 factors is that it is added, and rounded as stored."""
        return not (self.factors_in or self.product_in or self.delta_in or self.sum_in or self.twice)


SUM = Way("sum")
DELTA_FIRST = Way("delta_first", delta_first=True)
BASE_FIRST = Way("base_first", base_first=True)
BOTH_FIRST = Way("both_first", delta_first=True, base_first=True)
IN_BASE_DTYPE = Way("in_base_dtype", in_base_dtype=True)
DELTA_IN_BASE_DTYPE = Way("delta_in_base_dtype", delta_first=True, in_base_dtype=True)
TWICE = Way("twice", twice=True)
SUMS_IN_HALVES = (Way("float16 sum", sum_in="F16"), Way("bfloat16 sum", sum_in="BF16"))
LESS_EXACT = tuple(
    way
    for dtype in ("BF16", "F16")
    for way in (
        Way(f"{dtype} throughout", factors_in=dtype, product_in=dtype, delta_in=dtype),
        Way(f"{dtype} factors and delta", factors_in=dtype, delta_in=dtype),
        Way(f"{dtype} factors", factors_in=dtype),
        Way(f"{dtype} delta", delta_in=dtype),
    )
)
"""Products of an adapter that is held in half precision: PEFT casts such factors to float32 on a processor, and
multiplies them as they are on other devices."""
TF32_PRODUCT = Way("tf32_product", tolerance=2.0**-10)
TF32_DELTA_FIRST = Way("tf32_delta_first", delta_first=True, tolerance=2.0**-10)
