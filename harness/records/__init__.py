"""The frozen records that cross a boundary: between stages, between processes, and into files.

`cases` and `faults` are what people write, `jobs` is what a cell is asked and what it answers, `results` is what people
read.
Standard library only: a cell's process reads and writes these too.
"""
