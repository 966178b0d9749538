"""The one SQL database of a data folder: its schema, its migrations, its connections.

Holds no queries; each room writes its own.
"""
