"""Download the paper's networks: `python data_scripts/download_weights.py point-mae` (or `dino`).

point-mae: pretrain.pth of the Point-MAE release into the folder where PAPER finds it, whatever
folder you stand in (LSFA_WEIGHTS moves it). With --out its path is features.points.weights.
dino: ViT-B/8 through timm into the cache of the Hugging Face hub, where weights="timm" finds it;
--url is then a mirror of the hub. No checksum of it is known: the sha256 is printed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import fetch

from lsfa_lite.features.point_weights import PUBLISHED, PUBLISHED_SHA256, weights_folder

POINT_MAE = fetch.Source(
    name="Point-MAE, pretrain.pth (arXiv 2203.06604)",
    licence="MIT (that of the repository Pang-Yatian/Point-MAE)",
    file="pretrain.pth",
    url=PUBLISHED,
    checksum=f"sha256:{PUBLISHED_SHA256}",
)
DINO = fetch.Source(
    name="DINO ViT-B/8, timm vit_base_patch8_224.dino",
    licence="Apache-2.0 (timm and the DINO weights)",
    url="the Hugging Face hub, timm/vit_base_patch8_224.dino",
)
DINO_BYTES = 343_000_000


def main(arguments: list[str] | None = None) -> int:
    parser = fetch.parser(__doc__.split("\n")[0], str(weights_folder()))
    parser.add_argument("network", choices=["point-mae", "dino"])
    options = parser.parse_args(arguments)
    if options.network == "dino" and options.checksum:
        parser.error("--checksum: timm chooses the file of dino; compare what is printed")
    if options.network == "dino":
        return fetch.guarded(lambda: fetch_dino(options))
    return fetch.guarded(lambda: fetch.fetch(POINT_MAE, options))


def fetch_dino(options: argparse.Namespace) -> None:
    if options.url:
        os.environ["HF_ENDPOINT"] = options.url  # read when the hub's client is imported
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / "models--timm--vit_base_patch8_224.dino"
    fetch.show(DINO, options.url or DINO.url, folder, None)
    if options.dry_run:
        print("dry run: nothing was fetched, nothing was written")
        return
    fetch.accept(DINO, options.accept_licence)
    if not any(folder.glob("snapshots/*/*")):
        standing = next(parent for parent in folder.parents if parent.is_dir())
        fetch.need_space(standing, DINO_BYTES, DINO.name)
    import timm

    try:
        timm.create_model("vit_base_patch8_224.dino", pretrained=True)
    except Exception as error:  # the hub's client raises many kinds
        cure = "check the connection and --url; what arrived is kept, the same command goes on"
        raise fetch.FetchError(fetch.NETWORK, f"{DINO.name}: {error}; {cure}") from error
    for path in sorted(folder.glob("snapshots/*/*")):
        print(f"sha256 {fetch.digest(path, 'sha256')}  {path}")


if __name__ == "__main__":
    sys.exit(main())
