"""From a file's bytes to elements and pixels, with nothing that it says taken on trust.

- `codestream`: what the codestream of a compressed image says of itself, read without decoding it.
- `elements`: read elements of a data set without trusting that they are valid.
- `inflation`: deflated files, inflated within a limit before a parser sees them.
- `pixel_format`: how stored pixel values become HU.
- `plane_reader`: decode the pixels of one image into HU.
- `prepared`: data sets of elements that are there already, without pydicom's constructor.
- `raw_elements`: the header of a usual file, split into its elements.
- `recall`: what was read from an element, recalled for the same bytes in the next file.
- `stored_plane`: the place of uncompressed pixels in a file.
"""
