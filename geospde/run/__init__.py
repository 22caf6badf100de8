"""Runs: from a run file to a folder of results."""
