"""A CT series as DICOM: its instances, geometry and acquisition, and whether it can be assessed.

- `acquisition`: the acquisition rules that the header decides: refused, or reported with a
  warning.
- `content`: digests of what an instance holds: what a report inherits from it, and what is
  measured on it.
- `geometry`: put the slices of a series in order, or say why they are not one even, nearly axial
  stack.
- `inflation`: deflated files, inflated within a limit before a parser sees them.
- `instances`: the header of one received instance, read before any pixel is decoded.
- `kernels`: classify a vendor's reconstruction kernel: soft, standard, sharp, or made for lung or
  bone.
- `membership`: which received versions of a study's instances count, which are odd, which
  contradict another.
- `patients`: whether instances are of one patient, beyond how systems spell.
- `selection`: decide which series can be assessed, and say why the others cannot.
- `series_writer`: write a volume as a CT series whose header says that it is invented.
- `survey`: a first look at a study: which of its instances count, how many, and whether slices are
  missing.
- `volume_reader`: turn an eligible series into a `CtVolume` in HU.
"""
