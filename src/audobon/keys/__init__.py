"""Keys: who may read what is stored, and how it is made unreadable.

Knows nothing of blobs, pages or databases; gives keys, seals small things, and signs.
"""
