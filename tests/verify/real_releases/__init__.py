"""Merges that real releases made: of PEFT, and of unsloth_zoo before and after it read PEFT's packing rightly.

`models.py` and `releases.py` say what is merged and by whom, `inside` merges it where torch is, and `conftest.py`
builds that place. What a merge holds is in `expected.py`, as `oracle.py` finds it, which knows nothing of the verifier.
"""
