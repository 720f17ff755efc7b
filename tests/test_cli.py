"""The command line, from raw scans to scores, as a user types it."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from conftest import SMALL

import lsfa_lite
from lsfa_book import mini3d
from lsfa_lite.cli import main, parser
from lsfa_lite.commands import config_of
from lsfa_lite.config import FIRST, LITE, PAPER, BackgroundConfig
from lsfa_lite.data.files import read_rgb
from lsfa_lite.errors import LSFAError

QUICK = [
    "--set",
    "adaptation.steps=3",
    "adaptation.local_bank=500",
    "features.image_size=112",
    "features.grid=14",
]


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    mini3d.write(folder / "raw", SMALL, ["ring"])
    assert main(["clean", str(folder / "raw"), str(folder / "clean")]) == 0
    return folder / "clean"


@pytest.fixture(scope="module")
def model(cleaned, tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "ring"
    assert main(["fit", str(cleaned), "ring", "--out", str(out), *QUICK]) == 0
    return out


def test_help_is_quick_and_does_not_load_torch():
    code = (
        "import sys; from lsfa_lite.cli import parser; parser(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_set_takes_numbers_words_and_lists():
    fit = ["fit", ".", "x", "--out", "o"]
    words = ["seed=3", "adaptation.adaptor=conv1x1", 'modalities=["rgb"]', "scoring.coreset=0.5"]
    given = parser().parse_args([*fit, "--preset", "paper", "--set", *words])
    assert config_of(given) == PAPER.change(
        seed=3, adaptation__adaptor="conv1x1", modalities=("rgb",), scoring__coreset=0.5
    )
    assert config_of(parser().parse_args(fit)) == LITE


@pytest.mark.parametrize("command", [["demo"], ["reproduce", "table4", "--out", "o"]])
def test_what_compares_with_and_without_adaptation_runs_a_preset_that_adapts(command):
    """LITE does not: every row of the paper's tables would be the same run."""
    config = config_of(parser().parse_args(command))
    assert config == FIRST
    assert config.adaptation.steps > 0


def every_command() -> dict[str, argparse.ArgumentParser]:
    (sub,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    told = {choice.dest: choice.help for choice in sub._choices_actions}
    assert list(told) == list(sub.choices)
    assert all(told.values())
    return sub.choices


@pytest.mark.parametrize("name", every_command())
def test_every_word_of_a_command_has_a_help_with_an_example_that_works(name):
    command = every_command()[name]
    mute = [a.dest for a in command._actions if not (a.help or "").strip()]
    assert mute == []
    end = r"\nexample:\n  lsfa-lite (.+)\n\nexit status:\n  0 done\n(  1 .+\n)?  2 bad input.+\n"
    ((example, _),) = re.findall(end, command.format_help())
    assert parser().parse_args(shlex.split(example.partition(" >")[0])).run


def test_every_option_of_the_program_itself_has_a_help():
    assert [a.dest for a in parser()._actions if not a.help] == []


def test_bash_completes_commands_options_choices_and_files(tmp_path, capsys):
    pytest.importorskip("shtab", reason="completion is made by shtab")
    if not (bash := shutil.which("bash")):
        pytest.skip("no bash")
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    (tmp_path / "model-of-mine").mkdir()

    def completed(*words: str) -> set[str]:
        typed = " ".join(map(shlex.quote, ["lsfa-lite", *words]))
        code = f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; "
        code += "$(complete -p lsfa-lite | sed 's/.* -F \\([^ ]*\\).*/\\1/'); echo ${COMPREPLY[@]}"
        done = subprocess.run([bash, "-c", code], cwd=tmp_path, capture_output=True, text=True)
        return set(done.stdout.split())

    assert completed("recal") == {"recalibrate"}
    assert completed("score", "--rep") == {"--report"}
    assert completed("fit", "--preset", "paper") == {"paper", "paper_literal"}
    assert completed("score", "model-") == {"model-of-mine"}
    assert completed("completion", "z") == {"zsh"}


class Asked:
    """Stands for the detector, and says what for it was asked."""

    def __init__(self, config, device, background=None):
        raise LSFAError(f"asked for {device}")

    @classmethod
    def load(cls, folder, device):
        return cls(None, device)


@pytest.mark.parametrize("call", ["fit . x --out o", "score m . --out o", "evaluate m . x"])
def test_the_detector_stands_on_the_device_that_is_asked_for(call, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lsfa_lite.detector.LSFADetector", Asked)
    assert main([*call.split(), "--device", "meta"]) == 2
    assert "asked for meta" in capsys.readouterr().err


def test_score_writes_maps_pictures_and_a_table(cleaned, model, tmp_path, capsys):
    folder = cleaned / "ring" / "test" / "hole"
    assert main(["score", str(model), str(folder), "--out", str(tmp_path)]) == 0
    score, verdict, path = capsys.readouterr().out.split()
    assert path.endswith("000.png")
    anomaly = tifffile.imread(tmp_path / "000-000.tiff")
    assert anomaly.shape == (128, 128)
    assert anomaly.dtype == np.float32
    assert read_rgb(tmp_path / "000-000.png").shape == (128, 128, 3)
    with (tmp_path / "scores.csv").open() as file:
        (row,) = csv.DictReader(file)
    over = float(row["image_score"]) > float(row["threshold"])
    assert row["is_anomalous"] == str(over)
    assert verdict == ("anomalous" if over else "good")
    assert float(score) == pytest.approx(float(row["image_score"]), abs=5e-4)


def test_score_makes_a_report(cleaned, model, tmp_path, capsys):
    scans, report = str(cleaned / "ring/test/hole"), tmp_path / "report"
    call = ["score", str(model), scans, "--out", str(tmp_path / "out"), "--report"]
    assert main([*call, str(report)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {report / 'index.html'}"
    with (tmp_path / "out/scores.csv").open() as one, (report / "scores.csv").open() as other:
        ((row,), (told,)) = csv.DictReader(one), csv.DictReader(other)
    assert (told["image_score"], told["path"]) == (row["image_score"], row["path"])
    assert told["verdict"] == row["verdict"]
    text = (report / "index.html").read_text()
    assert "<title>ring: 1 parts</title>" in text
    assert "like the 7 good ones seen" in text  # four to train, three of validation
    assert main([*call, str(report)]) == 2
    assert "there already" in capsys.readouterr().err
    assert main([*call, str(tmp_path)]) == 2
    assert f"--report {tmp_path}: holds --out" in capsys.readouterr().err


def test_a_report_has_a_line_for_the_scan_that_was_passed_over(cleaned, model, tmp_path, capsys):
    scans = tmp_path / "hole"
    shutil.copytree(cleaned / "ring/test/hole", scans)
    for kind in ("rgb", "xyz", "gt"):
        for path in list((scans / kind).iterdir()):
            shutil.copy(path, path.with_stem("001"))
    broken = next((scans / "xyz").glob("001.*"))
    broken.write_bytes(broken.read_bytes()[:300])
    empty = next((scans / "xyz").glob("000.*"))
    tifffile.imwrite(empty, np.zeros_like(tifffile.imread(empty)))  # no point: no part seen
    report = tmp_path / "report"
    call = ["score", str(model), str(scans), "--out", str(tmp_path / "out")]
    assert main([*call, "--json", "--report", str(report)]) == 1
    out, err = capsys.readouterr()
    assert "passed over, cannot be used: " in err
    assert err.splitlines()[-1] == "1 done, 1 passed over: 1 cannot be used"
    rows = [json.loads(line) for line in (report / "scores.jsonl").read_text().splitlines()]
    assert [row["verdict"] for row in rows] == ["no part seen", "failed"]
    beside = ("rank", "key", "cloud")
    told = [{k: v for k, v in row.items() if k not in beside} for row in rows]
    assert [json.loads(line) for line in out.splitlines()] == told
    with (tmp_path / "out/scores.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["verdict"] == "no part seen"


def test_recalibrate_makes_a_new_model_from_good_scans(cleaned, model, tmp_path, capsys):
    call = ["recalibrate", str(model), str(cleaned / "ring/validation/good"), "--out"]
    assert main([*call, str(tmp_path / "new")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"calibrated on 3 good scans: {tmp_path / 'new'}"
    assert "of 100 good parts at most 25 are called anomalous" in told[1]
    assert "like the 3 good ones seen. 5 were asked for: that takes 19 good" in told[1]
    assert main([*call, str(model)]) == 2
    assert "there already" in capsys.readouterr().err
    old, new = (json.loads((m / "detector.json").read_text()) for m in (model, tmp_path / "new"))
    assert len(new["calibration"]["good"]["rgb+3d"]) == 3
    assert {k for k in old if old[k] != new[k]} == {"calibration"}


def test_watch_scores_what_arrives_until_it_is_told_to_end(cleaned, model, tmp_path):
    """As a service runs it: another process, lines of JSON, SIGTERM."""
    call = [sys.executable, "-m", "lsfa_lite", "watch", str(tmp_path), "--model", str(model)]
    pipe = subprocess.PIPE
    with subprocess.Popen([*call, "--json"], stdout=pipe, stderr=pipe, text=True) as process:
        for role in ("rgb", "xyz"):
            shutil.copytree(cleaned / "ring/test/hole" / role, tmp_path / role)
        first = json.loads(process.stdout.readline())
        (tmp_path / "rgb/bad.png").write_text("no picture")
        (tmp_path / "xyz/bad.tiff").write_text("no cloud")
        second = json.loads(process.stdout.readline())
        process.terminate()
        rest, told = process.communicate(timeout=60)
    assert first["path"] == str(tmp_path / "rgb/000.png")
    assert first["verdict"] == (
        "anomalous" if first["image_score"] > first["threshold"] else "good"
    )
    assert list(first) == list(second)
    assert (second["verdict"], second["image_score"]) == ("failed", None)
    assert "bad.png: cannot be read as a picture" in second["words"]
    assert (process.returncode, rest) == (0, "")
    counts = ["0 no part seen", "0 anomalous", "0 good", "1 failed"]
    counts[1 + (first["verdict"] == "good")] = f"1 {first['verdict']}"
    assert told.splitlines()[-1] == ", ".join(counts)


def test_watch_needs_a_folder(tmp_path, capsys):
    assert main(["watch", str(tmp_path / "nowhere"), "--model", "m"]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_evaluate_prints_a_table_and_json(cleaned, model, tmp_path, capsys, caplog):
    assert main(["evaluate", str(model), str(cleaned), "ring"]) == 0
    text = capsys.readouterr().out
    assert "AUPRO@1%" in text
    assert "defect hole" in text
    assert "promised 12.5%, seen " in text  # four parts to train, three of validation
    assert not caplog.records
    shutil.copytree(cleaned, tmp_path / "earlier")  # as if cleaned when pad was the default
    settings = tmp_path / "earlier/clean.json"
    settings.write_text(settings.read_text().replace('"pad": false', '"pad": true'))
    assert main(["evaluate", str(model), str(tmp_path / "earlier"), "ring", "--json"]) == 0
    assert [r.getMessage().partition(": ")[0] for r in caplog.records] == [str(settings)]
    table = json.loads(capsys.readouterr().out)
    assert (table["samples"], table["promised"]) == (6, 0.125)
    assert set(table["defects"]) == set(mini3d.DEFECTS["ring"])
    assert all(0 <= value <= 1 for value in table["all"].values())


def test_workers_describe_all_scans_ahead(cleaned, model, tmp_path, monkeypatch, capsys):
    asked = []

    def ahead(config, splits, modalities, workers, seed, *, device, progress, strict):
        asked.append((sum(map(len, splits)), modalities, workers, device, strict))
        raise LSFAError("enough")

    monkeypatch.setattr("lsfa_lite.features.ahead.describe_ahead", ahead)
    test, out = cleaned / "ring/test", ["--out", str(tmp_path / "out")]
    for call in (
        ["fit", str(cleaned), "ring", *out],
        ["evaluate", str(model), str(cleaned), "ring"],
        ["score", str(model), str(test / "hole"), str(test / "good"), *out],
    ):
        assert main([*call, "--workers", "3"]) == 2
        assert "enough" in capsys.readouterr().err
    counts = ((7, True), (6, True), (3, False))  # one bad scan does not stop a batch
    assert asked == [(n, ("rgb", "3d"), 3, "cpu", strict) for n, strict in counts]
    assert not (tmp_path / "out").exists()


def test_clean_takes_what_the_background_has(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "lsfa_lite.data.background.clean_folder", lambda src, out, config, **_: asked.append(config)
    )
    for more in ([], ["--pad", "--keep", "sizeable", "--distance", "0.007"]):
        assert main(["clean", "a", "b", *more]) == 0
    other = BackgroundConfig(pad=True, keep="sizeable", plane_distance=0.007)
    assert asked == [BackgroundConfig(), other]


def test_doctor_names_the_table_that_is_still_there(cleaned, capsys):
    main(["doctor", str(cleaned.parent / "raw")])
    assert "lsfa-lite clean SRC OUT" in capsys.readouterr().out
    assert main(["doctor", str(cleaned)]) == 0
    assert "lsfa-lite clean SRC OUT" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "nowhere", "ring", "--out", "m"], "nowhere"),
        (["score", "nowhere", ".", "--out", "o"], "detector.json: missing"),
        (["evaluate", "nowhere", ".", "ring"], "detector.json: missing"),
        (["clean", "nowhere", "out"], "nowhere"),
        (["clean", ".", "../out"], ".: holds no category; expected folders with train/good"),
        (["data", "eyecandies", ".", "out"], ".: no category; expected CandyCane/train/data"),
        (["data", "mini3d", "out", "--categories", "teapot"], "teapot"),
        (["fit", ".", "ring", "--out", "m", "--set", "adaptation.magic=1"], "magic"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert words in message
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == []


def test_an_existing_model_is_not_overwritten(cleaned, model, capsys):
    assert main(["fit", str(cleaned), "ring", "--out", str(model), *QUICK]) == 2
    assert "there already" in capsys.readouterr().err


@pytest.mark.slow
def test_demo_prints_what_it_promises(tmp_path, capsys, monkeypatch):
    few = dataclasses.replace(SMALL, train=2, validation=2, test_good=1)
    monkeypatch.setattr("lsfa_book.mini3d.Mini3DConfig", lambda seed=0: few)
    out = tmp_path / "figures.json"
    assert main(["demo", "--categories", "ring", "handle", "--json", str(out), *QUICK]) == 0
    text = capsys.readouterr().out
    assert text.count("->") >= 2 * 3 * 4
    rows = json.loads(out.read_text())
    assert [row["category"] for row in rows] == ["ring", "handle"]
    assert set(rows[0]["variants"]) == {"no adaptation", "LSFA"}
    assert rows[0]["seconds"] > 0


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (
            LSFAError("a.png: cut short; copy it again"),
            2,
            "lsfa-lite: a.png: cut short; copy it again",
        ),
        (PermissionError(13, "Permission denied", "a.png"), 2, "Permission denied: 'a.png'"),
        (MemoryError("96 GiB"), 2, "out of memory (96 GiB); use fewer --workers"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 2, "use fewer --workers"),
        (ModuleNotFoundError("No module named 'x'"), 2, "'x'; install lsfa-lite again"),
        (ValueError("shapes (3,) (4,)"), 70, "ValueError: shapes (3,) (4,): a bug in lsfa-lite"),
        (RuntimeError("two\nlines"), 70, "RuntimeError: two lines: a bug"),
        (KeyboardInterrupt(), 130, "lsfa-lite: stopped"),
    ],
)
def test_whatever_goes_wrong_is_one_line_and_debug_shows_where(
    error, status, told, monkeypatch, capsys
):
    def fails(_: object) -> None:
        raise error

    monkeypatch.setattr("lsfa_lite.commands.doctor", fails)
    assert main(["doctor", "."]) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    if isinstance(error, Exception):
        for words in (
            ["--debug", "doctor", "."],
            ["doctor", "--debug", "."],
            ["doctor", ".", "--debug"],
        ):
            assert main(words) == status
            shown = capsys.readouterr().err
            assert shown.startswith("Traceback (most recent call last)")
            assert shown.splitlines()[-1] == line


def test_nobody_reads_on(tmp_path):
    """As `lsfa-lite ... | head` does: the other end of the pipe is closed, nothing is said."""
    reading, writing = os.pipe()
    os.close(reading)
    call = [sys.executable, "-m", "lsfa_lite", "doctor", "."]
    done = subprocess.run(call, stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_error_of_the_system_is_one_line(monkeypatch, capsys):
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "out/records/x.json")

    monkeypatch.setattr("lsfa_lite.commands.doctor", full)
    assert main(["doctor", "."]) == 2
    assert "No space left on device: 'out/records/x.json'" in capsys.readouterr().err


def test_the_package_is_run_as_the_command():
    run = [sys.executable, "-m", "lsfa_lite"]
    done = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"lsfa-lite {lsfa_lite.__version__}\n"
    done = subprocess.run([*run, "magic"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: lsfa-lite ")
