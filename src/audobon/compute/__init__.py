"""Where work runs, and what this machine has to run it with.

Knows nothing of documents; it is handed the work and says where it goes.
"""
