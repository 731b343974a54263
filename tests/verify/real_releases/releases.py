"""The releases that merge. Standard library only: both sides read it."""

from __future__ import annotations

from collections.abc import Mapping

PEFT = "peft"
"""Stock `merge_and_unload` of the environment's own PEFT."""

WHEELS: Mapping[str, str] = {
    "2026.5.1": "0832cdeb62c3421f622c614710316d030cc44753322c49acbac1a159f4189dc8",
    "2026.5.2": "7c7a90bd3e37cdaea31243967d1cd4c9789722a9fd94cb2fa49054d7a98572a7",
    "2026.9.5": "ae5926556e60649161d57a879a48984adcb8a958724ab642a88fabf84268cffb",
    "2026.9.6": "fd464e419e9912707d1f4a3b9d636d060fc3dd8b7195da1add320006e0dfe34b",
    "2026.10.9": "f68e0576b0e9bd2ef85f19bf665132c576b52ee4df923fbb16c81538a3cde676",
}
"""Releases of unsloth_zoo to the SHA-256 of their wheel: what runs here is the code that was looked at."""

MERGERS = (PEFT, *WHEELS)
