"""Jobs: one operation on one document, split into pages, watched, and put together again.

Decides nothing about where or how a page runs; it asks `compute`.
"""
