"""The models of a bundle, loaded once in each process."""

import gc
from functools import lru_cache
from pathlib import Path

from modeling import Stager, load_bundle
from network import InteractionNetwork

__all__ = ["load_models"]


@lru_cache(maxsize=2)
def load_models(bundle: Path | None) -> tuple[Stager, InteractionNetwork | None]:
    """The stager and the cohort's network of a bundle.

    The models and the libraries that they need stay: garbage is not looked for among them again.

    Parameters
    ----------
    bundle
        Folder of the bundle; None for the built-in one.
    """
    loaded = load_bundle(bundle)
    network = None if loaded.network is None else InteractionNetwork.from_json(loaded.network)
    stager = Stager(loaded)
    gc.collect()
    gc.freeze()
    return stager, network
