"""Cells: from a row of the matrix to a lock with hashes, and from a lock to an environment that holds it and no more.

Outside world. Owns `locks/` and `cells/` of the output folder; must not know what will run in a cell.
"""
