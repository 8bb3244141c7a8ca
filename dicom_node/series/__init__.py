"""A CT series as DICOM: its instances, geometry and acquisition, and whether it can be assessed.

- `acquisition`: the acquisition rules that the header decides: refused, or reported with a
  warning.
- `geometry`: the slices of a series in order, with one step, nearly axial: or the reason why not.
- `instances`: what the node knows of one received instance before it decodes any pixel.
- `kernels`: what a vendor's reconstruction kernel is: soft, standard, sharp, or made for lung or
  bone.
- `selection`: decide whether a series can be assessed, and say why not.
- `series_writer`: write a volume as a CT series whose header says that it is invented.
- `survey`: a first look at the series of a study: how many instances, and whether slices are
  missing.
- `volume_reader`: turn an eligible series into a `CtVolume` in HU.
"""
