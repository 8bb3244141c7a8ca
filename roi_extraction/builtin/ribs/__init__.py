"""Ribs, and the lumbar levels named from the last of them.

- `rib_track`: one bone that leaves the spine sideways
- `tracks`: such bones followed beside the straightened line
- `tips`: a rib followed on to its tip, for its length
- `cage`: which tracks are ribs, pairs, and the first pair
- `last_ribs`: whether the last pair is the 12th
- `discs_below`: the discs from T12-L1 downwards
- `naming`: the spine named downwards
"""
