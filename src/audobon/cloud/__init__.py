"""The Google Cloud side as a whole: what it consists of by stage, and how Terraform makes it.

It speaks to no API of Google; the drivers in the rooms do.
"""
