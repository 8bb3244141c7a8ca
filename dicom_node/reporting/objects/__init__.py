"""The report in the forms that any PACS shows, beside the Structured Report.

- `kinds`: the kinds of objects: their files, series and UIDs.
"""
