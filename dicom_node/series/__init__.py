"""A CT series as DICOM: its instances, geometry and acquisition, and whether it can be assessed.

- `acquisition`: the acquisition rules that the header decides: refused, or reported with a
  warning.
- `content`: digests of what an instance holds: what a report inherits from it, and what is
  measured on it.
- `doubles`: drop slices that came twice under two UIDs.
- `geometry`: put the slices of a series in order, or say why they are not one even, nearly axial
  stack.
- `instances`: the header of one received instance, read before any pixel is decoded.
- `interleaving`: find two scans that lie interleaved in one series, evenly spaced together.
- `kernels`: classify a vendor's reconstruction kernel: soft, standard, sharp, or made for lung or
  bone.
- `membership`: which received versions of a study's instances count, which are odd, which
  contradict another.
- `patients`: whether instances are of one patient, beyond how systems spell.
- `selection`: decide which series can be assessed, and say why the others cannot.
- `series_writer`: write a volume as a CT series whose header says that it is invented.
- `spectral`: tell images computed from several X-ray spectra from plain ones: their HU are other
  numbers.
- `stray_images`: set images aside that do not belong to the axial stack of their series.
- `study_header`: whose a study is and what it was made with, read from the header of one of its
  objects.
- `survey`: a first look at a study: which of its instances count, how many, and whether slices are
  missing.
- `volume_reader`: turn an eligible series into a `CtVolume` in HU.
"""
