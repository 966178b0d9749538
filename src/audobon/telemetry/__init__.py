"""What Audobon tells about its own work: how far it is, and how long it will take.

Measures and describes only; it decides nothing and starts nothing.
"""
