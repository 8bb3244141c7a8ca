"""Screening of an archive: series are listed, looked at, fetched, assessed and reported.

- `sources`: what a screening asks of a folder or an archive, whatever it speaks.
"""
