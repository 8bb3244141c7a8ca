"""Which sites act together in the cohort, as a graph with its centres and communities."""

from network.build import build_network, run
from network.errors import GraphError, InvalidGraph, StageTooSmall
from network.export import cytoscape_json, write_graphml, write_network, write_tables
from network.figure import plot
from network.graph import Edge, InteractionNetwork, NodePlace, SiteNode, clustering, locate
from network.resampling import Resamples, resample
from network.significance import Evidence, evidence
from network.stability import SeedNetworks, agreement, seed_networks
from network.study import NETWORK_STEPS, network_step, run_full

__all__ = [
    "NETWORK_STEPS",
    "Edge",
    "Evidence",
    "GraphError",
    "InteractionNetwork",
    "InvalidGraph",
    "NodePlace",
    "Resamples",
    "SeedNetworks",
    "SiteNode",
    "StageTooSmall",
    "agreement",
    "build_network",
    "clustering",
    "cytoscape_json",
    "evidence",
    "locate",
    "network_step",
    "plot",
    "resample",
    "run",
    "run_full",
    "seed_networks",
    "write_graphml",
    "write_network",
    "write_tables",
]
