"""The muscles behind the spine: their compartment, and the plane that splits it.

- `compartment`: the compartment behind the spine in one slice: bounded by fascia, facets and
  mid-line.
- `fat_plane`: the plane between transversospinalis and longissimus: the path of least HU in their
  fat.
- `posterior`: the muscles behind the spine: their compartment, and its split at the fat plane.
"""
