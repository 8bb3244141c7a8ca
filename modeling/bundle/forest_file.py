"""A forest as bytes: the same forest gives the same bytes, and reading them runs no code."""

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from modeling.cohort import Stage
from modeling.design import DESIGN
from modeling.errors import BundleError, BundleIncompatible, BundleUntrusted

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesClassifier

__all__ = ["TRUSTED_TYPES", "forest_bytes", "read_forest"]

TRUSTED_TYPES = frozenset({"numpy.dtype", "sklearn.tree._tree.Tree"})
"""Types that a forest's file may ask for beyond those that skops trusts by itself."""

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def read_forest(data: bytes, name: str) -> "ExtraTreesClassifier":
    """Read what `forest_bytes` wrote, without running any code that it may hold.

    Parameters
    ----------
    data
        The file's content.
    name
        The file's name, for messages.

    Raises
    ------
    BundleUntrusted
        The file asks for types outside `TRUSTED_TYPES`.
    BundleIncompatible
        Not readable by these libraries, or trained on other stages or inputs.
    """
    import skops.io
    from sklearn.ensemble import ExtraTreesClassifier

    try:
        asked = set(skops.io.get_untrusted_types(data=data))
        if not asked <= TRUSTED_TYPES:
            raise BundleUntrusted(sorted(asked - TRUSTED_TYPES))
        forest = skops.io.loads(data, trusted=sorted(asked))
    except BundleError:
        raise
    except Exception as error:
        raise BundleIncompatible(f"{name} cannot be read by these libraries: {error}") from error
    if type(forest) is not ExtraTreesClassifier:
        raise BundleUntrusted([f"{type(forest).__module__}.{type(forest).__qualname__}"])
    if list(forest.classes_) != list(Stage) or forest.n_features_in_ != len(DESIGN):
        raise BundleIncompatible("the forest was trained on other stages or inputs")
    return forest


def forest_bytes(forest: "ExtraTreesClassifier") -> bytes:
    """Serialise by skops, without the addresses and times that it writes."""
    import skops.io

    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(forest)))
    schema = json.loads(source.read("schema.json"))
    identifiers: dict[int, int] = {}
    names: dict[str, str] = {}

    def renumber(node: Any) -> None:
        if isinstance(node, dict):
            if "__id__" in node:
                node["__id__"] = identifiers.setdefault(node["__id__"], len(identifiers))
            if node.get("__loader__") == "NdArrayNode" and node.get("type") == "numpy":
                node["file"] = names.setdefault(node["file"], f"{len(names)}.npy")
            for value in node.values():
                renumber(value)
        elif isinstance(node, list):
            for value in node:
                renumber(value)

    renumber(schema)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:

        def put(name: str, data: bytes) -> None:
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data, compresslevel=9)

        for old, new in names.items():
            put(new, source.read(old))
        put("schema.json", json.dumps(schema, separators=(",", ":")).encode())
    return target.getvalue()
