"""A PACS for C-FIND and C-GET whose answers a test decides."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage, KeyObjectSelectionDocumentStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from dicom_node.demo import free_port
from dicom_node.settings.work import Query

LEVELS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


class ReportPacs:
    """Holds instances, and remembers what it was asked for.

    Parameters
    ----------
    held
        What it holds.
    classes
        SOP classes that it sends.
    gives
        Whether it offers C-GET.
    """

    def __init__(
        self, held: Sequence[Dataset], classes: Sequence[str] = (), *, gives: bool = True
    ) -> None:
        self.held = list(held)
        self.classes = classes or (
            ComprehensiveSRStorage, KeyObjectSelectionDocumentStorage, CTImageStorage,
        )  # fmt: skip
        self.gives = gives
        self.asked: list[Dataset] = []
        self.got: list[Dataset] = []
        self.before_each: Callable[[], None] = lambda: None
        self.more: Callable[[Dataset], Iterator[Dataset]] = lambda _asked: iter(())
        self.query = Query(
            ae_title="PACS", host="127.0.0.1", port=free_port(), earlier_reports=True
        )

    def __enter__(self) -> "ReportPacs":
        ae = AE(ae_title="PACS")
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        if self.gives:
            ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
        for sop_class in self.classes:
            ae.add_supported_context(sop_class, scu_role=True, scp_role=True)
        self._server = ae.start_server(
            (self.query.host, self.query.port),
            block=False,
            evt_handlers=[(evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get)],
        )
        return self

    def __exit__(self, *_details: object) -> None:
        assert self._server is not None
        self._server.shutdown()

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset]]:
        asked = event.identifier
        self.asked.append(asked)
        for answer in (*self._answers(asked), *self.more(asked)):
            self.before_each()
            yield 0xFF00, answer

    def _answers(self, asked: Dataset) -> list[Dataset]:
        """One for each study or series that matches its patient or study."""
        unique = "PatientID" if asked.QueryRetrieveLevel == "STUDY" else "StudyInstanceUID"
        found = {}
        for held in self.held:
            if held.get(unique) == asked[unique].value:
                answer = Dataset()
                for element in asked:
                    setattr(answer, element.keyword, held.get(element.keyword) or "")
                answer.QueryRetrieveLevel = asked.QueryRetrieveLevel
                if "ModalitiesInStudy" in asked:
                    answer.ModalitiesInStudy = sorted(
                        {
                            h.Modality
                            for h in self.held
                            if h.StudyInstanceUID == held.StudyInstanceUID
                        }
                    )
                found[str(held.get(LEVELS[asked.QueryRetrieveLevel]))] = answer
        return list(found.values())

    def _get(self, event: Any) -> Iterator[Any]:
        asked = event.identifier
        self.got.append(asked)
        keywords = [keyword for keyword in LEVELS.values() if keyword in asked]
        found = [h for h in self.held if all(h.get(k) == asked.get(k) for k in keywords)]
        yield len(found)
        for held in found:
            self.before_each()
            yield 0xFF00, held


def slowly(seconds: float) -> Callable[[], None]:
    return lambda: time.sleep(seconds)
