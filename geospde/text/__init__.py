"""Wording, findings and notebook cards."""
