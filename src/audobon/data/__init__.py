"""What is kept of a person or a project: exported, erased, and forgotten when its time is over."""
