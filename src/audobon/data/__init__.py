"""What is kept of a person or a project: shown, handed out, erased, kept no longer than it may."""
