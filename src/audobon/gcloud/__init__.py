"""Google Cloud: where its APIs are spoken to, as whom, and what their failures are called here.

Knows no room. Google's packages are an extra, so they are imported where they are used, never before.
"""
