"""Durable tasks: enqueued with their job, leased to one worker at a time, finished once.

Knows nothing of pages or models; it carries payloads and results as bytes of JSON.
"""
