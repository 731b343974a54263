"""Generated damages: three directories that fit each other, spoilt in thousands of ways, each by its own number.

`python -m tests.verify.fuzz --seed 1 --count 10000` runs ten thousand; each alone by its seed and a count of one.
"""
