"""AI models: their cards, their weights, and running them on this machine.

Knows nothing of pages or jobs; it turns a name into a thing that answers tensors.
"""
