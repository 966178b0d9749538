"""What is kept of a person or a project: shown, handed out, erased, and kept no longer than it may be."""
