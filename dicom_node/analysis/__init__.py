"""From the files of one study to the folder of its report, without a network.

- `analysis`: assess the best series among some files and write its report into a folder.
- `earlier_reports`: the earlier reports of a patient, on this node or in an archive, and the
  comparison with them.
- `input_findings`: what the reader should know of the files that were given.
- `models`: the models of a bundle, loaded once in each process.
- `object_maker`: make the objects beside the Structured Report: each checked, or left out.
- `outcome`: the result of an analysis: reported, or refused with a code and a message.
- `read_reports`: reports that a reader has read: which of them stands, and what may be measured
  again.
- `refusal_pages`: the page on a scan that was meant for the node and was not analysed.
- `report_objects`: the picture of a report, and the objects that show it in any PACS.
- `report_folder`: write the files of one report: each complete or not at all.
"""
