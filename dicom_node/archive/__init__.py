"""Screening of an archive: series are listed, looked at, fetched, assessed and reported.

- `answers`: what archives answer to questions, as texts by DICOM keyword, and what is read from it.
- `arrivals`: the files of a series on their way: what was asked for, what came, what is missing.
- `associations`: associations with an archive: no more at once than are allowed, and one kept for
  questions.
- `bookkeeping/`: screenings, their series and their runners as rows of the node's database.
- `dicomweb`: an archive that is asked by QIDO-RS and sends by WADO-RS.
- `dimse`: an archive that is asked by C-FIND and sends by C-GET or C-MOVE.
- `folder_source`: a folder tree as a source.
- `http_session`: HTTP towards an archive: login, TLS, limits, and what its refusals mean.
- `instance_stream`: C-STORE requests of an archive, each written to disk while it comes in.
- `listed_header`: a series judged by its headers before any pixel moves.
- `listing`: lists the series of an archive study by study, and parts questions with too many
  answers.
- `move_door`: the door of C-MOVE: a storage SCP that takes only instances that were just asked for.
- `multipart`: reads multipart/related answers while they come in.
- `opening`: opens an archive by its settings, whatever it speaks.
- `results/`: the table, its data dictionary and the summary page.
- `slots`: connections to an archive, of which no more are used at once than are allowed.
- `sources`: what a screening asks of a folder or an archive, whatever it speaks.
- `stow`: sends a report to an archive by STOW-RS.
- `work/`: one process that works on a screening.
"""
