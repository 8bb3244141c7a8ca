"""The steps of the withdrawal of a report that stands under another patient."""

from typing import Any

from dicom_node.errors import DeliveryFailed
from dicom_node.logs import log
from dicom_node.records.audit import AuditTrail, Peer
from dicom_node.sending.delivery import send
from dicom_node.settings.node import Destination, NodeSettings
from dicom_node.work.work_queues import object_file, object_path

__all__ = ["WithdrawalSteps"]


class WithdrawalSteps:
    """Steps that may each be done again after a crash.

    Parameters
    ----------
    settings
        Of the node.
    audit
        Where each attempt is recorded.
    """

    def __init__(self, settings: NodeSettings, audit: AuditTrail) -> None:
        self._reports = settings.reports_dir
        self._ae_title = settings.listener.ae_title
        self._audit = audit

    def send(
        self, report: dict[str, str], destination: Destination, attempt: int
    ) -> dict[str, Any]:
        """Send the note that an object of a report is withdrawn.

        The parameters are those of `DeliverySteps.send`; ``report`` is the one that is withdrawn.

        Returns
        -------
        dict
            ``state`` is ``delivered``, ``retrying`` or ``failed``; with ``code``, and ``reason``
            unless it was delivered.
        """
        # imports what assesses, which a worker without withdrawals never needs
        from dicom_node.reporting.withdrawal import write_withdrawal

        identity = report["identity"]
        path = object_path(self._reports, report)
        peer = Peer(destination.ae_title, f"{destination.host}:{destination.port}")
        try:
            status = send(write_withdrawal(path), destination, self._ae_title)
        except FileNotFoundError:
            reason = "the report is no longer on the disk"
            return {"state": "failed", "code": "report.gone", "reason": reason}
        except (DeliveryFailed, OSError) as error:
            code = getattr(error, "code", DeliveryFailed.code)
            reason = str(error) if isinstance(error, DeliveryFailed) else type(error).__name__
            self._audit.withdrawn(peer, report["study_uid"], identity, reason)
            log().warning(
                "withdrawal attempt failed",
                assessment=identity,
                destination=destination.name,
                object=object_file(report),
                attempt=attempt,
                code=code,
                reason=reason,
            )
            return {"state": "retrying", "code": code, "reason": reason}
        self._audit.withdrawn(peer, report["study_uid"], identity, None)
        log().warning(
            "withdrawn",
            assessment=identity,
            destination=destination.name,
            object=object_file(report),
            attempt=attempt,
            status=f"0x{status:04X}",
        )
        return {"state": "delivered", "code": f"0x{status:04X}"}
