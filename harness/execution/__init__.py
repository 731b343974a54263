"""Runs planned jobs in cells: processes of this machine, artifacts by content, resumed after any interruption.

`engine.execute` is the way in. Must not know what a job measures, nor whether what came out is good.
"""
