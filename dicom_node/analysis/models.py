"""The models of a bundle, loaded once in each process."""

import gc
from functools import lru_cache
from pathlib import Path

from dicom_node.settings.node import Model
from modeling import Stage, Stager, load_bundle
from modeling.staging_rules import StagingRules
from network import InteractionNetwork

__all__ = ["load_models", "staging_rules"]


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


def staging_rules(model: Model) -> StagingRules:
    """What the settings decide about staging, as the stager takes it."""
    shares = model.prevalence
    prevalence = None if shares is None else {stage: shares[stage.value] for stage in Stage}
    return StagingRules(prevalence, model.without_l5_s1)
