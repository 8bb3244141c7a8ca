"""The reader's way in a browser: from the list to a superseding report in Orthanc, and its end."""

import subprocess
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, KeyObjectSelectionDocumentStorage

from tests.readers_way import walk

pytestmark = [pytest.mark.viewers, pytest.mark.peers]


def tracking(item: Dataset) -> list[str]:
    """All tracking UIDs (112040, DCM) of a report, in their order."""
    name = item.get("ConceptNameCodeSequence")
    own = [str(item.UID)] if name and name[0].CodeValue == "112040" else []
    return own + [uid for child in item.get("ContentSequence", ()) for uid in tracking(child)]


def reports(folder: Path) -> dict[str, Dataset]:
    """The Structured Reports that Orthanc held, by SOP Instance UID."""
    found = [pydicom.dcmread(path) for path in folder.iterdir()]
    return {str(d.SOPInstanceUID): d for d in found if d.SOPClassUID == ComprehensiveSRStorage}


def test_reader_corrects_then_rejects_and_orthanc_holds_both(tmp_path: Path) -> None:
    seen = walk(tmp_path)
    assert "Roe, Rita" in seen["list"]
    assert "to read" in seen["list"]
    assert "all levels named one lower" in seen["asked corrected"]
    assert "Doe, Jane" in seen["asked corrected"]
    assert "Corrected" in seen["said corrected"]
    assert "corrected" in seen["list corrected"]
    assert "to read" not in seen["list corrected"]
    assert "wrong levels" in seen["asked rejected"]
    assert "Rejected" in seen["said rejected"]
    assert "wrong levels" in seen["log"]

    [measured] = reports(tmp_path / "measured").values()
    both = reports(tmp_path / "corrected")
    [corrected] = [d for uid, d in both.items() if uid != measured.SOPInstanceUID]
    assert both[measured.SOPInstanceUID] == measured
    assert (measured.VerificationFlag, corrected.VerificationFlag) == ("UNVERIFIED", "VERIFIED")
    [observer] = corrected.VerifyingObserverSequence
    assert observer.VerifyingObserverName == "Doe^Jane"
    assert observer.VerifyingOrganization == "General Hospital"
    [study] = corrected.PredecessorDocumentsSequence
    [named] = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert study.StudyInstanceUID == measured.StudyInstanceUID == corrected.StudyInstanceUID
    assert named.ReferencedSOPInstanceUID == measured.SOPInstanceUID
    assert tracking(corrected) == tracking(measured)
    assert len(tracking(corrected)) > 30
    for path in (tmp_path / "corrected").iterdir():
        said = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True).stderr
        assert [line for line in said.splitlines() if line.startswith("Error")] == []

    assert set(reports(tmp_path / "rejected")) == set(both)
    after = [pydicom.dcmread(path) for path in (tmp_path / "rejected").iterdir()]
    notes = [d for d in after if d.SOPClassUID == KeyObjectSelectionDocumentStorage]
    rejected = {
        str(sop.ReferencedSOPInstanceUID)
        for note in notes
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for sop in series.ReferencedSOPSequence
    }
    assert rejected == set(both)
