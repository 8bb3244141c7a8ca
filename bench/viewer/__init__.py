"""The demonstration's study in the web viewer OHIF, on this machine only.

- `archive`: answers what a viewer asks of a DICOMweb server, from files.
- `ohif`: obtains OHIF by npm, checked, and writes its configuration.
- `page`: serves OHIF and a DICOMweb source on one port of 127.0.0.1.
"""
