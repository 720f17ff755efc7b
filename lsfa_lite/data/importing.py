"""People's own folders -> a data set in MVTec 3D-AD's layout; nothing of theirs is touched.

`plan` reads names (`data.layouts`), and a few scans for their unit; `Plan.run` writes.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data.background import SETTINGS, table_plane
from lsfa_lite.data.depth import raw_cloud, stored
from lsfa_lite.data.files import read_ids, read_rgb, write_png, write_sample, written_beside
from lsfa_lite.data.intrinsics import Intrinsics
from lsfa_lite.data.layouts import Place, Scan, gather, labelled
from lsfa_lite.data.processes import in_processes
from lsfa_lite.data.sample import valid_pixels
from lsfa_lite.data.scans import SPLITS, Batch, Entry, composed, read_scan
from lsfa_lite.data.units import FARTHEST, likely_unit, metres_of, name_of, outliers, spelled
from lsfa_lite.errors import FileError, MissingFile, SettingError

MANIFEST = "import.json"  # in the category's folder: settings, and where each scan went
SHARE = 0.2  # of the good parts, that validation gets; and the test, if it has none
LEAST = 4  # good parts of which some are drawn
PROBES = 5  # scans that are opened to judge the unit, and whether a table is there
SPARSE = 0.1  # share of the pixels that is too few to be silent about
ABSURD = 900.0  # a factor between units, by which nobody may insist


@dataclass
class Plan:
    """What will be done; `said` tells what was guessed and what will be converted."""

    folder: Path  # root/category
    scans: list[Scan]
    settings: dict[str, Any]
    said: list[str]
    batch: Batch  # those that cannot be used are in it already
    before: dict[str, str]  # of earlier runs: key -> split/kind/name

    def run(self, workers: int = 1, *, progress: bool = False) -> Batch:
        """Write the scans that are not there yet; the account of all of them."""
        engine, metres = in_processes(workers), self.settings["metres"]
        with written_beside(self.folder / MANIFEST) as temporary:
            places = self.before | {scan.key: f"{where(scan)}/{scan.name}" for scan in self.scans}
            text = json.dumps(self.settings | {"scans": places}, indent=1, ensure_ascii=False)
            temporary.write_text(text, encoding="utf-8")
        rest = [scan for scan in self.scans if not self.is_there(scan)]
        self.batch.done += len(self.scans) - len(rest)
        tasks = [(bring, scan, self.folder / where(scan), metres) for scan in rest]
        for _, why in tqdm(engine(tasks), "import", len(tasks), unit="scan", disable=not progress):
            self.batch.done += why is None
            self.batch.passed += [] if why is None else [why]
        self.batch.passed.sort(key=lambda pair: pair[1])
        return self.batch

    def is_there(self, scan: Scan) -> bool:
        """By the file that `write_sample` writes last, and by a mask, which may come later."""
        folder, kind = self.folder / where(scan), "xyz/{}.tiff" if scan.entry.xyz else "rgb/{}.png"
        needed = [kind, *(["gt/{}.png"] if scan.entry.gt else [])]
        return all((folder / name.format(scan.name)).exists() for name in needed)

    def next(self) -> list[str]:
        """Commands that can be typed now, one after the other; none if nothing was written."""
        there = [scan for scan in self.scans if self.is_there(scan)]
        root, name, some = self.folder.parent, self.folder.name, there[:: len(there) // PROBES or 1]
        root = root if root.name.strip(".") else root.resolve()
        tables = [has_table(self.folder / where(s), s.name) for s in some if s.entry.xyz]
        lines = []
        if sum(tables) * 2 > len(tables):
            lines.append(["clean", root, root := root.with_name(f"{root.name}-clean")])
        counts = Counter(scan.split for scan in there)
        if counts["train"] > 1:
            model = next(p for p in numbered(f"{name}-model") if not Path(p).exists())
            lines.append(["fit", root, name, "--out", model])
            kinds = sorted({s.entry.defect for s in there if s.split == "test"}, key="good".__eq__)
            lines += [["evaluate", model, root, name]] if "good" in kinds[1:] else []
            for kind in kinds[:1]:
                scores = ["--out", f"{name}-scores", "--report", f"{name}-report"]
                lines.append(["score", model, root / name / "test" / kind, *scores])
        return [shlex.join(["lsfa-lite", *map(str, line)]) for line in lines]


def plan(
    folder: str | Path,
    out: str | Path,
    *,
    good: str | Path | None = None,
    test: str | Path | None = None,
    category: str | None = None,
    unit: str | None = None,
    intrinsics: str | Path | None = None,
    seed: int = 0,
) -> Plan:
    """Look at `folder`, and at `good` and `test`, which may lie in it or elsewhere.

    All scans of `good` are good parts; those of `test` have the label of their folder, or of their
    mask. `unit` ("mm", "m", ...) is that of the 3D files. Raises FileNotFoundError or ValueError,
    with the cure, for what concerns all scans: no scans, no camera, another unit, `out` in
    `folder` or begun otherwise. Single scans that cannot be used are in the plan's `batch`.
    """
    top, metres = Path(folder), metres_of(unit) if unit else None
    tops: dict[Place, Path] = {(): top}
    tops |= {(n,): found(p, top) for n, p in (("good", good), ("test", test)) if p}
    if any(other.resolve() == top.resolve() for other in list(tops.values())[1:]):
        del tops[()]
    category = composed(category or top.resolve().name)
    home = Path(out) / category
    check_places([top, *tops.values()], Path(out), category)
    said, batch = list[str](), Batch()
    files, names = gather(tops, batch, said)
    scans = labelled(files, names, batch, said)
    if not scans:
        raise FileError(f"{top}: no scans; expected pictures, and clouds or depth pictures, {HOW}")
    given = Intrinsics.from_json(intrinsics) if intrinsics else None
    known = dict[Path, Intrinsics | None]()  # a warning of a lens comes once
    scans = [replace(s, camera=given or camera_of(s.entry, top.resolve(), known)) for s in scans]
    said += probed(scans, metres, unit, top)
    camera = None if given is None else asdict(given)
    asked = {"source": str(top.resolve()), "metres": metres, "camera": camera, "seed": seed}
    before = begun(home, asked)
    scans = drawn(scans, before, seed, said)
    if gone := set(before) - {scan.key for scan in scans}:
        text = "scans of an earlier run are not there any more; what was made of them is left, and"
        said.append(f"{len(gone)} {text} is for you to remove: {home / before[min(gone)]} ...")
    return Plan(home, scans, asked, said, batch, before)


HOW = "side by side or in rgb/ and depth/ or cloud/, and these in good/ and in folders of defects"


def check_places(tops: Sequence[Path], out: Path, category: str) -> None:
    for top in tops:
        if not top.is_dir():
            raise MissingFile(f"{top}: no such folder")
        one, other = top.resolve(), out.resolve()
        if one == other or one in other.parents or other in one.parents:
            raise FileError(f"{out}: lies in {top}, or holds it; your files stay as they are, so "
                             "name a folder beside it")  # fmt: skip
    if category in ("", ".", "..") or category[0] == "." or {*category} & {"/", "\\"}:
        raise SettingError(f"--category {category!r}: expected the name of a folder, like ring")
    if (out / SETTINGS).exists():
        raise FileError(f"{out}: holds cleaned scans; import raw ones into another folder")


def found(path: str | Path, top: Path) -> Path:
    """A folder that was typed: in `top`, or from here."""
    return top / path if (top / path).is_dir() else Path(path)


# its camera and its unit


def camera_of(entry: Entry, top: Path, known: dict[Path, Intrinsics | None]) -> Intrinsics | None:
    """Of the nearest folder above that holds one, up to `top`; `known` keeps what was read."""
    folder = entry.path.resolve().parent
    above = [p for p in (folder, *folder.parents) if p == top or top in p.parents] or [folder]
    for place in above:
        if place not in known:
            known[place] = Intrinsics.in_folder(place)
        if known[place]:
            return known[place]
    return None


SCALE = "by the camera's depth_scale (where it has none, mm)"


def probed(scans: list[Scan], metres: float | None, unit: str | None, top: Path) -> list[str]:
    """Open a few scans: what is to be said of them. ValueError for another unit than `unit`."""
    if not any(scan.entry.xyz for scan in scans):
        return ["no 3D files: colour alone"]
    units, said, reach = Counter[str](), dict[str, None](), 0.0
    for scan, xyz, flat in looked_at(scans, metres, top):
        assumed = metres or (scan.camera.depth_scale if flat and scan.camera else 1.0)
        other, reach = likely_unit(xyz), max(reach, float(np.abs(xyz).max()))
        units[name_of(assumed * other.metres) if other else ""] += 1
        named = spelled(unit or name_of(assumed)) + (f", {SCALE}" if flat and not unit else "")
        said[f"unit: {'depth' if flat else 'clouds'} in {named}"] = None
        if scan.entry.xyz and is_loose(scan.entry.xyz, xyz[..., 0].size):
            said["clouds without pixels: the camera puts each point on the picture"] = None
        if (seen := valid_pixels(xyz).mean()) < SPARSE:
            said[f"hardly any depth: {scan.entry.xyz} fills {seen:.1%} of its pixels"] = None
    likely, count = units.most_common(1)[0]
    if not likely or 2 * count <= units.total():
        return list(said)
    text = f"{top}: the 3D files seem to be in {spelled(likely)}"
    if metres is None:
        raise SettingError(f"{text}: add --unit {likely}, or --unit {name_of(assumed)} to insist")
    if reach > FARTHEST or not 1 / ABSURD < metres / metres_of(likely) < ABSURD:
        raise SettingError(f"--unit {unit} cannot be: {text}; --unit {likely} fits")
    return [*said, f"unit: --unit {unit} is taken, though --unit {likely} would fit better"]


def looked_at(
    scans: list[Scan], metres: float | None, top: Path
) -> list[tuple[Scan, np.ndarray, bool]]:
    """Of up to PROBES scans that can be read: what `opened` gives. ValueError if there is none."""
    found, first = list[tuple[Scan, np.ndarray, bool]](), None
    with_3d = [scan for scan in scans if scan.entry.xyz]
    for i in np.random.default_rng(0).permutation(len(with_3d)):
        try:
            found.append((with_3d[i], *opened(with_3d[i], metres)))
        except Batch.REFUSED as error:
            first = first or error
        if len(found) == PROBES:
            break
    if first and not found:
        raise FileError(f"{first}{camera_hint(first, top)}")
    return found


def opened(scan: Scan, metres: float | None) -> tuple[np.ndarray, bool]:
    """The 3D file without outliers, (H, W, 3), unchecked; whether it is depth."""
    entry = scan.entry
    assert entry.xyz is not None
    rgb = read_rgb(entry.rgb) if entry.rgb else None
    shape = None if rgb is None else (rgb.shape[0], rgb.shape[1])
    flat = stored(entry.xyz, scan.camera, shape).ndim == 2
    raw = raw_cloud(entry.xyz, scan.camera, shape, metres)
    if raw.ndim != 3 or raw.shape[-1] != 3 or not np.issubdtype(raw.dtype, np.floating):
        read_scan(entry, scan.camera, unit=metres)  # says what is wrong
    xyz = np.where(outliers(raw)[..., None] | ~np.isfinite(raw), 0, raw)
    if not xyz.any():
        raise FileError(f"{entry.xyz}: nothing was seen in it")
    return xyz, flat


def is_loose(path: Path, pixels: int) -> bool:
    """Whether a PLY or PCD holds another number of points than there are pixels."""
    head = path.read_bytes()[:2000] if path.suffix.lower() in (".ply", ".pcd") else b""
    counts = re.findall(rb"^(?:element vertex|POINTS) (\d+)", head, re.MULTILINE)
    return any(int(count) != pixels for count in counts)


def camera_hint(error: Exception, top: Path) -> str:
    """Files that may be the camera's, where depth has none."""
    found = [p for end in ("*.json", "*.yaml", "*.yml") for p in sorted(top.rglob(end))]
    if "needs the camera" not in str(error) or not found:
        return ""
    return f"; is it {shlex.join(['--intrinsics', str(found[0])])}?"


# where each scan goes


def where(scan: Scan) -> str:
    return f"{scan.split}/{scan.entry.defect}"


PLACED = f"({'|'.join(SPLITS)})/[^/]+/[^/]+"


def begun(home: Path, asked: dict[str, Any]) -> dict[str, str]:
    """Where scans went in an earlier run; ValueError if that one was asked otherwise."""
    path = home / MANIFEST
    if not path.is_file():
        # a run that was killed before the manifest leaves a folder with hidden files at most
        if home.is_file() or any(not found.name.startswith(".") for found in home.glob("*")):
            raise FileError(f"{home}: is there already, and import did not make it; name another")
        return {}
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        places = {str(key): str(place) for key, place in before["scans"].items()}
        if odd := [p for p in places.values() if not re.fullmatch(PLACED, p)]:
            raise FileError(f"not a place: {odd[0]}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(f"{path}: damaged ({error}); import into another folder") from error
    for name, value in asked.items():
        if before.get(name) != value:
            text = f"begun with {name} {before.get(name)}, and asked for {value}"
            raise FileError(f"{path}: {text}; ask for the same, or choose another folder")
    return places


def drawn(scans: list[Scan], before: dict[str, str], seed: int, said: list[str]) -> list[Scan]:
    """Each scan its split and a name of its own; what was drawn before stays where it is."""
    good = [scan.key for scan in scans if scan.split is None]
    of = {key: before[key].split("/")[0] for key in good if key in before}
    fixed = {(scan.split, scan.entry.defect) for scan in scans}
    tests, wanted = any(split == "test" for split, _ in fixed), dict[str, int]()
    share = max(1, round(SHARE * len(good))) if len(good) >= LEAST else 0
    wanted["validation"] = 0 if ("validation", "good") in fixed else share
    wanted["test"] = share if tests and ("test", "good") not in fixed else 0
    new = [key for key in good if key not in of]
    order = [new[i] for i in np.random.default_rng(seed).permutation(len(new))]
    for split, number in wanted.items():
        lacking = max(0, number - sum(there == split for there in of.values()))
        of |= dict.fromkeys(order[:lacking], split)
        order = order[lacking:]
    of |= dict.fromkeys(order, "train")
    if good:
        counts = Counter(of.values())
        told = ", ".join(f"{n} {split}" for split, n in counts.items())
        said.append(f"drawn from the {len(good)} good parts with seed {seed}: {told}")
        said += ["lsfa-lite fit needs two good parts"] if len(good) < 2 else []
    scans = [replace(scan, split=scan.split or of[scan.key]) for scan in scans]
    if not any(scan.split == "train" for scan in scans):
        kinds = ", ".join(sorted({scan.entry.defect for scan in scans}))
        raise FileError(
            f"no good parts to learn from (found: {kinds}); name their folder: --good DIR"
        )
    return renamed(scans, before)


def renamed(scans: list[Scan], before: dict[str, str]) -> list[Scan]:
    """Two scans of one name in one folder: the later one gets a number."""
    taken = {place for key, place in before.items()}
    named: list[Scan] = []
    for scan in scans:
        if before.get(scan.key, "").startswith(f"{where(scan)}/"):
            name = before[scan.key].rpartition("/")[2]
        else:
            name = next(n for n in numbered(scan.name) if f"{where(scan)}/{n}" not in taken)
        taken.add(f"{where(scan)}/{name}")
        named.append(replace(scan, name=name))
    return named


def numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


# one scan


def bring(scan: Scan, folder: Path, metres: float | None) -> tuple[str, str] | None:
    """Read one scan and write it; None, or why it is passed over."""
    entry = scan.entry
    try:
        sample = read_scan(entry, scan.camera, unit=metres)
        ids = np.minimum(read_ids(entry.gt), 255).astype(np.uint8) if entry.gt else None
        if metres is None and sample.xyz is not None and (other := likely_unit(sample.xyz)):
            raise FileError(
                f"{entry.xyz}: seems to be in another unit ({other.name}) than the rest; "
                "mend it, or insist with --unit"
            )
        if entry.label == 0 and ids is not None and ids.any():
            raise FileError(f"{entry.gt}: a defect is marked on a good part; move it, or empty it")
        if ids is not None:
            write_png(folder / "gt" / f"{scan.name}.png", ids)
        write_sample(folder, scan.name, replace(sample, mask=None))
    except Batch.REFUSED as error:
        return Batch.sort(error), str(error)
    return None


def has_table(folder: Path, name: str) -> bool:
    """Whether a scan that was written still shows its table."""
    rgb, xyz = folder / "rgb" / f"{name}.png", folder / "xyz" / f"{name}.tiff"
    sample = read_scan(Entry(rgb if rgb.exists() else None, xyz))
    return table_plane(sample, BackgroundConfig()) is not None
