"""Which sites act together in the cohort, as a graph with its centres and communities."""

from network.build import build_network, run
from network.errors import GraphError, InvalidGraph, TooFewPatients
from network.export import cytoscape_json, write_graphml, write_network, write_tables
from network.figure import plot
from network.graph import Edge, InteractionNetwork, Node, NodePlace, clustering, locate
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
    "Node",
    "NodePlace",
    "Resamples",
    "SeedNetworks",
    "TooFewPatients",
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
