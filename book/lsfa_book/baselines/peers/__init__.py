"""Other published methods, as anomalib has them (extra "peers"), on our parts and by our metrics.

anomalib's torch models are driven directly: its networks, losses, maps and scores, in a loop of
ours. With `weights="package"` or "random" every peer looks through our frozen colour network, so
that methods are compared and not networks. With any other weights a peer takes its own network,
which anomalib fetches from a hub.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lsfa_book.baselines.peers.banks import Padim, PatchCore
from lsfa_book.baselines.peers.cfm import CFM
from lsfa_book.baselines.peers.csflow import CSFlow
from lsfa_book.baselines.peers.library import available, has_cfm
from lsfa_book.baselines.peers.peer import CUT, PUBLISHED, Peer
from lsfa_book.baselines.peers.stfpm import STFPM
from lsfa_lite.config import Config
from lsfa_lite.data.sample import Sample
from lsfa_lite.errors import LSFAError
from lsfa_lite.evaluation import Table, evaluate

__all__ = ["CUT", "PEERS", "PUBLISHED", "WHAT", "make_peer", "run"]

PEERS: dict[str, type[Peer]] = {
    "padim": Padim,
    "patchcore": PatchCore,
    "stfpm": STFPM,
    "cs_flow": CSFlow,
    "cfm": CFM,
}


WHAT = tuple(PEERS)


def run(
    what: str,
    config: Config,
    train: Sequence[Sample],
    validation: Sequence[Sample],
    test: Sequence[Sample],
    device: str | torch.device = "cpu",
) -> Table:
    """Fit one peer to good parts and measure it as our own method is measured.

    The image score is the peer's own (class CFM says where it is not anomalib's). The map, which
    covers the whole picture, is brought to the sample's own pixels and set to zero off the part,
    as our maps are. Thresholds come from `validation`. Training is cut short for the preset
    "lite" (CUT), else as published.
    Raises ValueError for a name not in WHAT, without anomalib, or for parts that lack a modality;
    FileNotFoundError where weights cannot be had.
    """
    peer = make_peer(what, config, device)
    return evaluate(peer.fit(train, validation).score(test), test)


def make_peer(what: str, config: Config, device: str | torch.device = "cpu") -> Peer:
    """The peer, not yet fitted. Raises as `run` does."""
    if what not in PEERS:
        raise LSFAError(f"no peer {what!r}; there are {', '.join(WHAT)}")
    if not available():
        raise LSFAError(f"peer {what!r} needs anomalib: pip install 'lsfa-lite[peers]'")
    if what == "cfm" and not has_cfm():
        raise LSFAError("this anomalib has no CFM; 2.5.0 and later have: pip install -U anomalib")
    return PEERS[what](config, torch.device(device))
