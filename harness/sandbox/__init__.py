"""Runs what nobody trusts: in a process with limits, without network, that sees and writes almost nothing."""
