"""Operations on comic pages and documents: pixels in, pixels or findings out.

Holds no models, no queue and no files of its own; it is handed what it needs.
"""
