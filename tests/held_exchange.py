"""The exchange of a node that gives no more than a part while a file ``hold`` lies in its data."""

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from dicom_node.exchange import server
from dicom_node.exchange.archive_stream import pack
from dicom_node.logs import configure_logs
from dicom_node.settings.node import load_settings
from dicom_node.supervisor import stop_on_signal

HELD_AT = 3
"""Pieces of a stream that are given at once."""


def hold_of(data: Path) -> Path:
    """The file that holds back the rest."""
    return data / "hold"


def main(config: Path) -> None:
    settings = load_settings(config)

    def held(files: Mapping[str, Path]) -> Iterator[bytes]:
        for number, piece in enumerate(pack(files)):
            while number == HELD_AT and hold_of(settings.data_dir).exists():
                time.sleep(0.05)
            yield piece

    vars(server).update(pack=held)
    configure_logs("exchange")
    server.run_exchange(settings, stop_on_signal())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
