"""Backups: what other places need to hold so that all can be had again, and the proof that it can."""
