"""The local runner: children in parallel, failures, pruning, resuming, stopping, and the comparison at the end."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("optuna")
import yaml  # noqa: E402

from tests import axe  # noqa: E402
from vitvis.runs import RunFolder  # noqa: E402
from vitvis.runs.summary import summarize  # noqa: E402
from vitvis.sweep import main  # noqa: E402

FAKE = Path(__file__).with_name("fake_fit.py")


def write_spec(tmp_path, mode="ok", **changes):
    content = {
        "program": str(FAKE),
        "method": "grid",
        "metric": {"name": "summary/score", "goal": "maximize"},
        "parameters": {"regularize.tv": {"values": [0.9, 0.1, 0.4]}, "mode": {"value": mode}},
        "command": ["${env}", "${interpreter}", "${program}", "${args}"],
    }
    path = tmp_path / "fake.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))
    return path


def run(path, tmp_path, *words):
    return main([str(path), f"out={tmp_path / 'out'}", "devices=cpu", "workers=2", *words])


def summary(tmp_path):
    return json.loads((tmp_path / "out" / "summary.json").read_text())


def test_a_grid_runs_and_is_compared(tmp_path, capsys):
    assert run(write_spec(tmp_path), tmp_path) == 0
    out = tmp_path / "out"
    found = summary(tmp_path)
    assert [trial["settings"]["regularize.tv"] for trial in found["trials"]] == [0.9, 0.1, 0.4]
    assert found["best"]["settings"] == {"regularize.tv": 0.4} and found["best"]["value"] == pytest.approx(0.9)
    assert {"index.html", "sheet.png", "chart.png", "best.yaml", "trials.parquet", "trials.csv"} <= set(os.listdir(out))
    assert yaml.safe_load((out / "best.yaml").read_text()) == {"steps": 3, "regularize": {"tv": 0.4}}
    rows = list(csv.DictReader((out / "trials.csv").open()))
    assert [row["regularize.tv"] for row in rows] == ["0.4", "0.1", "0.9"]  # best first
    page = (out / "index.html").read_text()
    assert "sheet.png" in page and "regularize.tv = 0.4" in page
    pictures = re.findall(r'<img loading="lazy" src="([^"]+)"', page)
    assert len(pictures) == 3 * 4 and all((out / unquote(source)).is_file() for source in pictures)
    before = (out / "trials" / "000" / "manifest.json").read_text()
    assert run(write_spec(tmp_path), tmp_path) == 0  # nothing is run again
    assert (out / "trials" / "000" / "manifest.json").read_text() == before
    assert "trial 000 starts" not in capsys.readouterr().out.split("comparison in")[1]


@pytest.mark.browser
def test_the_page_is_accessible(browser, tmp_path):
    assert run(write_spec(tmp_path, "fail"), tmp_path) == 0
    for theme, width in (("dark", 1400), ("light", 390)):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        page = context.new_page()
        page.goto((tmp_path / "out" / "index.html").as_uri())
        assert axe.faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        context.close()


def test_a_failed_child_is_a_failed_trial_with_its_last_lines(tmp_path):
    assert run(write_spec(tmp_path, "fail"), tmp_path) == 0
    failed = summary(tmp_path)["trials"][0]
    assert failed["state"] == "failed" and failed["error"].endswith("vitvis: the disk is made of cheese")
    assert summary(tmp_path)["best"]["settings"] == {"regularize.tv": 0.4}
    assert "made of cheese" in (tmp_path / "out" / "index.html").read_text()
    assert run(write_spec(tmp_path, "fail"), tmp_path, "retry=true") == 0
    assert [trial["state"] for trial in summary(tmp_path)["trials"]] == ["failed", "complete", "complete", "failed"]


def test_a_sweep_in_which_everything_fails_gives_up(tmp_path, capsys):
    values = {"regularize.tv": {"values": [0.6, 0.7, 0.8, 0.9]}, "mode": {"value": "fail"}}
    assert run(write_spec(tmp_path, parameters=values), tmp_path, "give_up=2", "workers=1") == 2
    assert "made of cheese" in capsys.readouterr().err
    assert len(summary(tmp_path)["trials"]) == 2


def test_a_missing_metric_says_which_there_are(tmp_path):
    path = write_spec(tmp_path, metric={"name": "summary/scoer", "goal": "maximize"})
    assert run(path, tmp_path, "run_cap=1") == 1
    assert "summary/score, summary/selectivity" in summary(tmp_path)["trials"][0]["error"]


def test_any_column_of_the_curves_can_be_the_metric(tmp_path):
    path = write_spec(tmp_path, metric={"name": "loss", "goal": "minimize"})
    assert run(path, tmp_path, "run_cap=1") == 0
    assert summary(tmp_path)["trials"][0]["value"] == 1


def test_a_random_sweep_stopped_and_gone_on_draws_what_one_run_draws(tmp_path):
    parameters = {"regularize.tv": {"min": 0.0, "max": 1.0}}
    path = write_spec(tmp_path, method="random", parameters=parameters, run_cap=3)
    assert run(path, tmp_path, "workers=1", "run_cap=1") == 0 and run(path, tmp_path, "workers=1") == 0
    first = [trial["settings"] for trial in summary(tmp_path)["trials"]]
    (tmp_path / "b").mkdir()
    assert run(path, tmp_path / "b", "workers=1") == 0
    assert first == [trial["settings"] for trial in summary(tmp_path / "b")["trials"]] and len(first) == 3


def test_bayes_goes_through_the_runner(tmp_path):
    """What it finds is the business of `test_study.py`."""
    parameters = {"regularize.tv": {"min": 0.0, "max": 1.0}}
    path = write_spec(tmp_path, method="bayes", parameters=parameters, run_cap=5)
    assert run(path, tmp_path, "workers=1") == 0
    assert [trial["state"] for trial in summary(tmp_path)["trials"]] == ["complete"] * 5


def test_a_target_ends_the_sweep(tmp_path):
    metric = {"name": "summary/score", "goal": "maximize", "target": 0.3}
    assert run(write_spec(tmp_path, metric=metric), tmp_path, "workers=1") == 0
    assert len(summary(tmp_path)["trials"]) == 1


def test_hopeless_trials_are_stopped_early(tmp_path):
    values = {"regularize.tv": {"values": [0.3, 0.9]}, "mode": {"value": "prune"}}
    early = {"type": "hyperband", "min_iter": 1, "eta": 2}
    path = write_spec(tmp_path, parameters=values, early_terminate=early)
    assert run(path, tmp_path, "poll_s=0.05", "workers=1") == 0
    assert [trial["state"] for trial in summary(tmp_path)["trials"]] == ["complete", "pruned"]


def start(path, tmp_path):
    command = [sys.executable, "-m", "vitvis.sweep", str(path), f"out={tmp_path / 'out'}", "devices=cpu", "workers=2"]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )


def wait_for_child(tmp_path, process):
    """Return once the hanging child of trial 000 has written its curves."""
    target = tmp_path / "out" / "trials" / "000" / "metrics" / "0.csv"
    tick = threading.Event()
    while not target.exists() and process.poll() is None:
        tick.wait(0.02)
    return int((tmp_path / "out" / "trials" / "000.pid").read_text())


def is_alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to look at processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_sweep_leaves_no_children_and_goes_on(tmp_path, number):
    path = write_spec(tmp_path, "hang-once")
    process = start(path, tmp_path)
    child = wait_for_child(tmp_path, process)
    process.send_signal(number)
    _, error = process.communicate(timeout=600)
    if number == signal.SIGKILL:  # nobody was left to stop it: the next run does
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 128 + number and not is_alive(child)
        assert error.count("\n") == 1 and "run the same command again to go on" in error
    assert run(path, tmp_path) == 0
    assert not is_alive(child)
    assert [trial["state"] for trial in summary(tmp_path)["trials"]] == ["complete"] * 3
    manifest = json.loads((tmp_path / "out" / "trials" / "000" / "manifest.json").read_text())
    assert manifest["attempts"] == 2  # it went on in its own folder
    assert (tmp_path / "out" / "trials" / "000" / "records" / "0.parquet").exists()


def test_a_command_that_hands_nothing_on_fails_its_trials(tmp_path):
    """Else every trial would have the defaults, and the table equal rows."""
    command = ["${interpreter}", "${program}", "regularize.tv=0.5", "mode=ok"]
    assert run(write_spec(tmp_path, command=command), tmp_path) == 1
    assert {trial["state"] for trial in summary(tmp_path)["trials"]} == {"failed"}
    assert "regularize.tv is 0.5, and not 0.9, which the sweep set" in summary(tmp_path)["trials"][0]["error"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-7],  # the last line breaks off
        lambda data: data + b'{"op_code":4,"worker',
        lambda data: data[: len(data) // 2] + b"\0" * 40 + data[len(data) // 2 + 40 :],
        lambda data: data.replace(b"0.9", b"0.8"),  # a value that is still one
        lambda data: b"",
        lambda data: b"null\n" * 9,
    ],
)
def test_a_damaged_journal_is_begun_anew_from_the_runs(tmp_path, spoil):
    path = write_spec(tmp_path)
    assert run(path, tmp_path) == 0
    journal, before = tmp_path / "out" / "study.journal", summary(tmp_path)
    journal.write_bytes(spoil(journal.read_bytes()))
    assert run(path, tmp_path) == 0
    found = summary(tmp_path)
    for one, other in zip(before["trials"], found["trials"], strict=True):
        assert {key: value for key, value in one.items() if key != "seconds"} == {
            key: value for key, value in other.items() if key != "seconds"
        }


def test_a_trial_that_had_not_drawn_everything_is_drawn_as_it_would_have_been(tmp_path):
    from vitvis.sweep.spec import read_spec
    from vitvis.sweep.study import SweepStudy

    parameters = {name: {"min": 0.0, "max": 1.0} for name in "abc"}
    for method, many in (("random", parameters), ("grid", {name: {"values": [1, 2]} for name in "abc"})):
        path = write_spec(tmp_path, method=method, parameters=many, run_cap=2)
        (tmp_path / f"whole-{method}").mkdir()
        whole = SweepStudy(read_spec(path), tmp_path / f"whole-{method}")
        expected = whole.values(whole.ask())
        for drawn in range(3):  # killed before the first, the second, the third draw
            folder = tmp_path / f"{method}-{drawn}"
            folder.mkdir()
            code = (
                "import os, sys\nfrom optuna.trial import Trial\nfrom vitvis.sweep.spec import read_spec\n"
                "from vitvis.sweep.study import SweepStudy\nsuggest, left = Trial._suggest, [int(sys.argv[3])]\n"
                "def killed(*args):\n    if left[0] == 0: os._exit(9)\n    left[0] -= 1\n    return suggest(*args)\n"
                "Trial._suggest = killed\nfrom pathlib import Path\n"
                "SweepStudy(read_spec(sys.argv[1]), Path(sys.argv[2])).ask()\n"
            )
            assert subprocess.run([sys.executable, "-c", code, str(path), str(folder), str(drawn)]).returncode == 9
            study = SweepStudy(read_spec(path), folder)
            (trial,) = study.interrupted()
            assert study.values(trial) == expected, (method, drawn)


def test_a_report_writes_into_no_other_run(tmp_path, capsys):
    assert run(write_spec(tmp_path), tmp_path) == 0
    trial = tmp_path / "out" / "trials" / "000"
    before = sorted(trial.iterdir())
    assert main(["--report", str(trial), f"out={trial}"]) == 2
    assert "holds a run of vitvis.fit" in capsys.readouterr().err and sorted(trial.iterdir()) == before
    (tmp_path / "file").write_text("x")
    assert main(["--report", str(trial), f"out={tmp_path / 'file'}"]) == 2


@pytest.mark.parametrize("content", ["{", "null", '{"score": 0.1}', ""])
def test_a_report_on_a_sweep_whose_summary_is_damaged(tmp_path, content):
    assert run(write_spec(tmp_path), tmp_path) == 0
    (tmp_path / "out" / "summary.json").write_text(content)
    assert main(["--report", str(tmp_path / "out")]) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "trials.csv").open()))
    assert [row["regularize.tv"] for row in rows] == ["0.4", "0.1", "0.9"]


def test_a_summary_names_no_trial_outside(tmp_path):
    assert run(write_spec(tmp_path), tmp_path) == 0
    (tmp_path / "out" / "SHA256SUMS").unlink()  # as a stranger would
    found = summary(tmp_path)
    found["trials"][0]["path"] = "../../../etc"
    (tmp_path / "out" / "summary.json").write_text(json.dumps(found))
    assert main(["--report", str(tmp_path / "out")]) == 0
    assert "etc" not in (tmp_path / "out" / "index.html").read_text()


def test_another_sweep_does_not_go_on_in_the_folder(tmp_path, capsys):
    assert run(write_spec(tmp_path), tmp_path, "run_cap=1") == 0
    assert run(write_spec(tmp_path), tmp_path, "--", "steps=9") == 2
    assert "another run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a sweep file"),
        (["a.yaml", "b.yaml"], "one spec at a time"),
        (["missing.yaml"], "no such file"),
        (["--report"], "or --report RUN RUN"),
        (["--report", "nowhere"], "no such folder"),
        (["--report", ".", "--", "steps=1"], "--report runs nothing"),
    ],
)
def test_mistakes_are_one_line(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_report_on_sweeps_and_on_any_runs(tmp_path, capsys):
    assert run(write_spec(tmp_path), tmp_path) == 0
    out = tmp_path / "out"
    (out / "sheet.png").unlink()
    assert main(["--report", str(out)]) == 0 and (out / "sheet.png").exists()
    runs = [str(out / "trials" / name) for name in ("000", "002")]
    assert main(["--report", *runs, f"out={tmp_path / 'compared'}"]) == 0
    rows = list(csv.DictReader((tmp_path / "compared" / "trials.csv").open()))
    assert [row["trial"] for row in rows] == ["002", "000"] and rows[0]["regularize.tv"] == "0.4"
    (out / "trials" / "002" / "summary.json").unlink()  # a run that has not finished is shown, but never the best
    assert main(["--report", *runs, f"out={tmp_path / 'compared'}"]) == 0
    rows = list(csv.DictReader((tmp_path / "compared" / "trials.csv").open()))
    assert [(row["trial"], row["state"]) for row in rows] == [("000", "complete"), ("002", "unfinished")]


def test_a_report_compares_on_the_units_that_all_finished_runs_have(tmp_path, capsys):
    """By all of its units the first run is better; by those that both have, the second."""
    names = ("many", "few", "under-way")
    for name, units in zip(names, ({0: 0.1, 1: 0.9, 2: 0.9}, {0: 0.4, 5: 0.0}, {7: 1.0}), strict=True):
        settings = {"steps": len(units)}
        with RunFolder.open(tmp_path / name, kind="fit", settings=settings, identity={}) as folder:
            records = [
                {"address": f"a:{unit}", "seed": 0, "unit": unit, "site": "a", "depth": 0, "status": "ok", "rank": 1,
                 "site_width": 9, "activation": value, "activation_start": 0.0, "hf_share": 0.8 - 0.68 * value}
                for unit, value in units.items()
            ]  # fmt: skip
            folder.write_shard("0", records)
            if name != "under-way":
                folder.write_json("summary.json", summarize(records))
    runs = [str(tmp_path / name) for name in names]
    assert main(["--report", *runs, f"out={tmp_path / 'compared'}"]) == 0
    assert "the 1 of 4 units and seeds that are in all 2 finished runs" in " ".join(capsys.readouterr().out.split())
    assert "1 of 4 units" in (tmp_path / "compared" / "index.html").read_text()
    rows = list(csv.DictReader((tmp_path / "compared" / "trials.csv").open()))
    assert [(row["trial"], row["units"]) for row in rows] == [("few", "1"), ("many", "1"), ("under-way", "1")]
    by_all = [json.loads((tmp_path / name / "summary.json").read_text())["score"] for name in names[:2]]
    assert by_all[0] > by_all[1]
