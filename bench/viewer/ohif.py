"""Obtain OHIF by npm, checked, and write its configuration."""

import json
from pathlib import Path
from typing import Any

from bench.npm_package import PackageUnavailable, fetch_package
from dicom_node.reporting.objects.kinds import ObjectKind

__all__ = ["OHIF_VERSION", "SIDE_BY_SIDE", "ViewerUnavailable", "fetch_ohif", "ohif_configuration"]

OHIF_VERSION = "3.13.2"
"""What the objects are tested with; its package holds the built viewer."""

OHIF_INTEGRITY = (
    "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6"
    "j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
)
"""SHA-512 of the package as the registry lists it and npm's lock files hold it."""

SIDE_BY_SIDE = "osteonode"
"""Name of the layout that shows CT, picture and report beside each other."""

SHOWN = {
    "CT": ("Modality", "CT"),
    "SC": ("SeriesDescription", ObjectKind.SC.series_description),
    "SR": ("Modality", "SR"),
}
"""How that layout finds them: attribute and value of the series."""


class ViewerUnavailable(Exception):
    """OHIF cannot be had or shown; the message says what is missing."""


def fetch_ohif(folder: Path) -> Path:
    """Download OHIF once and unpack it.

    Parameters
    ----------
    folder
        Where it is kept, such as ``build/ohif``; made where it is missing.

    Returns
    -------
    Path
        The folder with ``index.html``.

    Raises
    ------
    ViewerUnavailable
        npm is missing or failed, or the package is not the one that was tested.
    """
    try:
        return fetch_package("@ohif/app", OHIF_VERSION, OHIF_INTEGRITY, folder, "dist")
    except PackageUnavailable as error:
        raise ViewerUnavailable(str(error)) from error


def ohif_configuration() -> str:
    """The text of ``app-config.js``: DICOMweb on the same origin, nothing from elsewhere."""
    source = {
        "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
        "sourceName": "dicomweb",
        "configuration": {
            "friendlyName": "osteonode",
            "name": "osteonode",
            "wadoUriRoot": "/dicom-web",
            "qidoRoot": "/dicom-web",
            "wadoRoot": "/dicom-web",
            "qidoSupportsIncludeField": False,
            "imageRendering": "wadors",
            "thumbnailRendering": "wadors",
            "enableStudyLazyLoad": True,
            "supportsFuzzyMatching": False,
            "supportsWildcard": True,
            "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
        },
    }
    configuration: dict[str, Any] = {
        "routerBasename": "/",
        "extensions": [],
        "modes": [],
        "customizationService": {"ohif.tours": {"$set": []}},
        "showStudyList": True,
        "maxNumberOfWebWorkers": 1,
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": False,
        "strictZSpacingForVolumeViewport": True,
        "investigationalUseDialog": {"option": "never"},
        "defaultDataSourceName": "dicomweb",
        "dataSources": [source],
    }
    return (
        f"window.config = {json.dumps(configuration, indent=1)};\n"
        f"const layout = {json.dumps(_side_by_side(), indent=1)};\n"
        f"window.config.extensions.push({{id: '{SIDE_BY_SIDE}', getHangingProtocolModule: () =>\n"
        f"  [{{name: '{SIDE_BY_SIDE}', protocol: layout}}]}});\n"
    )


def _side_by_side() -> dict[str, Any]:
    """A hanging protocol: CT, picture and report; where there is no picture its place is empty."""
    stage = {
        "name": SIDE_BY_SIDE,
        "viewportStructure": {
            "layoutType": "grid",
            "properties": {"rows": 1, "columns": len(SHOWN)},
        },
        "viewports": [
            {"viewportOptions": {"toolGroupId": "default"}, "displaySets": [{"id": name}]}
            for name in SHOWN
        ],
    }
    return {
        "id": SIDE_BY_SIDE,
        "name": SIDE_BY_SIDE,
        "protocolMatchingRules": [],
        "toolGroupIds": ["default"],
        "displaySetSelectors": {
            name: {
                "seriesMatchingRules": [
                    {"attribute": attribute, "constraint": {"equals": value}, "required": True}
                ]
            }
            for name, (attribute, value) in SHOWN.items()
        },
        "stages": [stage],
        "numberOfPriorsReferenced": -1,
    }
