"""Where each gate stands: between the noise of clean repetitions and the nearest fault, both measured."""
