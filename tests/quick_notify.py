"""The process of the notices with less time between two looks, and until something is over."""

import sys
from pathlib import Path

from dicom_node.logs import configure_logs
from dicom_node.notices import noticing, sending, settling
from dicom_node.settings.node import load_settings
from dicom_node.supervisor import end_with_parent, stop_on_signal


def main(config: Path, parent: int | None = None) -> None:
    """Tell until a signal comes or the parent, if one is named, has ended."""
    vars(noticing).update(NODE_LOOK_SECONDS=0.5)
    vars(settling).update(OVER_MS=1000)
    vars(sending).update(FIRST_PAUSE_MS=500, SEND_LOOK_SECONDS=0.3)
    configure_logs("notify")
    stop = stop_on_signal()
    end_with_parent(parent, stop)
    noticing.run_noticing(load_settings(config), stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
