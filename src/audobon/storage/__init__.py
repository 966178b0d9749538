"""Blobs kept by content: written once, found by what they hold.

Knows nothing of what the bytes mean, nor of who still needs them.
"""
