"""The units with which systemd runs a node, one for each way to run it.

- `units`: fills in where the program, its settings and its data are.
"""
