"""Clean repetitions that differ in what must not matter: noise for calibration, and nothing that a check may flag.

One variation a file: `strike(scene)` puts it into a read, as a fault is put in, and hits nothing.
"""
