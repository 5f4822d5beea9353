#!/usr/bin/env python3
"""What a program that reads ours relies on: JSON lines, run folders, dry runs, exit codes, stopping and resuming.

usage: contract.py PROGRAM TOY   (TOY: the program on the study of tests/run/toy.c)
"""
import csv
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

PROGRAM, TOY = (os.path.abspath(p) for p in sys.argv[1:3])


def call(*words, program=PROGRAM, code=0, cwd=None, env=None):
    done = subprocess.run([program, *words], text=True, capture_output=True, cwd=cwd, stdin=subprocess.DEVNULL, env=env)
    assert done.returncode == code, f"{words}: exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    return done


def without_times(line):
    record = json.loads(line)
    for key in ("run", "files", "seconds", "threads"):
        del record[key]
    return json.dumps(record)


def json_lines(folder):
    done = call("run", "separable", "n=4", "d=6", "k=1", "method=ngf,gf", "seed=0:1", "at=0,1,2", "time=2", "--json",
                cwd=folder)
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    explained = json.loads(call("studies", "--json").stdout.splitlines()[0])
    assert explained["study"] == "separable"
    for k, line in enumerate(lines):
        record = json.loads(line)
        assert list(record) == ["tiebreak", "study", "run", "config", "metrics", "snapshots", "claims", "files",
                                "seconds", "threads"], list(record)
        assert record["config"]["method"] == ("ngf", "gf")[k // 2] and record["config"]["seed"] == k % 2
        assert record["config"]["at"] == [0, 1, 2] and record["config"]["bias"] is False
        assert record["metrics"]["stopped"] == "time" and record["metrics"]["t"] == 2
        assert [s["t"] for s in record["snapshots"]] == [0, 1, 2]
        assert len(record["metrics"]["beta"]) == 6
        for claim in record["claims"]:
            assert list(claim) == ["id", "statement", "value", "reference", "tolerance", "verdict"]
        run = os.path.join(folder, record["files"]["folder"])
        names = set(os.listdir(run))
        assert {"study.yaml", "resolved.yaml", "manifest.json", "metrics.csv", "snapshots.npz", "record.json",
                "log.txt"} <= names, names
        with open(os.path.join(run, "record.json")) as file:
            assert file.read() == line + "\n"
    return record


def exports(folder, record):
    text = call("export", record["run"], "--format", "csv", cwd=folder).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 3 and float(rows[2]["beta[1]"]) == record["snapshots"][2]["beta"][0]
    call("export", record["run"].split("/")[0], "--format", "npz", "--out", "all.npz", cwd=folder)
    with zipfile.ZipFile(os.path.join(folder, "all.npz")) as archive:
        assert {"run.npy", "t.npy", "beta.npy"} <= set(archive.namelist())
        assert b"(12, 6)" in archive.read("beta.npy")[:128] and b"<f8" in archive.read("beta.npy")[:128]


def resolved(folder, record):
    path = os.path.join(record["files"]["folder"], "resolved.yaml")
    again = json.loads(call("run", path, "--json", "--out", "elsewhere", cwd=folder).stdout)
    assert again["files"]["folder"].startswith("elsewhere/")
    assert without_times(json.dumps(again)) == without_times(json.dumps(record))
    shown = call("show", again["run"], "--json", "--out", "elsewhere", cwd=folder).stdout
    assert json.loads(shown) == again


def runs(folder):
    listed = [json.loads(line) for line in call("runs", "--json", cwd=folder).stdout.splitlines()]
    assert len(listed) == 4 and all(row["state"] == "finished" for row in listed)
    assert call("runs", cwd=folder).stdout.count("\n") == 1
    assert "4 of 4 finished" in call("runs", cwd=folder).stdout
    assert call("runs", "--runs", "nowhere", cwd=folder).stdout == ""


def dry_run(folder):
    before = os.listdir(folder)
    plan = json.loads(call("run", "separable", "n=4", "d=6", "seed=0:9", "--dry-run", "--json", cwd=folder).stdout)
    assert plan["runs"] == 10
    assert {"parameters", "flop_per_step", "flop", "seconds", "memory", "claims"} <= set(plan)
    assert plan["claims"] and all(c["value"] is None and c["verdict"] == "undecided" for c in plan["claims"])
    text = call("run", "separable", "n=4", "seed=0:9", "--dry-run", cwd=folder).stdout
    assert "command line" in text and "default" in text and "runs 10" in text
    with open(os.path.join(folder, "mine.yaml"), "w") as file:
        file.write("study: separable\nn: 5\n")
    assert "mine.yaml:2" in call("run", "mine.yaml", "--dry-run", cwd=folder).stdout
    assert sorted(before + ["mine.yaml"]) == sorted(os.listdir(folder))


def strictness(folder):
    call("run", "toy", "rate=3.9", "--strict", program=TOY, cwd=folder)
    call("run", "toy", "method=shifted", "seed=7", "steps=3", "--strict", "rate=4", program=TOY, cwd=folder)
    call("run", "toy", "ending=failed", "--quiet", program=TOY, cwd=folder, code=1)
    call("run", "toy", "ending=data", "--quiet", program=TOY, cwd=folder, code=3)
    call("run", "toy", "ending=memory", "--quiet", program=TOY, cwd=folder, code=4)
    mixed = call("run", "toy", "ending=well,failed", "--json", program=TOY, cwd=folder, code=1)
    assert len(mixed.stdout.splitlines()) == 1 and "the map diverged" in mixed.stderr


def threads(folder):
    one = call("run", "toy", "seed=0:7", "steps=500", "--json", "--threads", "1", program=TOY, cwd=folder).stdout
    two = call("run", "toy", "seed=0:7", "steps=500", "--json", "--threads", "2", program=TOY, cwd=folder).stdout
    assert [without_times(a) for a in one.splitlines()] == [without_times(b) for b in two.splitlines()]


def stopping(folder):
    words = ["run", "toy", "seed=0:3", "steps=100", "pause=0.005", "at=5,95", "--json"]
    whole = call(*words, program=TOY, cwd=folder).stdout.splitlines()
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 75)):
        name = f"stopped-{code}"
        process = subprocess.Popen([TOY, *words, "--name", name], cwd=folder, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        time.sleep(0.3)
        process.send_signal(number)
        out, errors = process.communicate(timeout=30)
        assert process.returncode == code, (process.returncode, errors)
        assert f"tiebreak resume {name}" in errors, errors
        rest = call("resume", name, "--json", program=TOY, cwd=folder).stdout.splitlines()
        assert [without_times(a) for a in whole] == [without_times(b) for b in rest]
        assert rest == call("resume", name, "--json", program=TOY, cwd=folder).stdout.splitlines()
    limited = call(*words, "--name", "limited", "--time-limit", "0.2", program=TOY, cwd=folder, code=75)
    assert "resume limited" in limited.stderr


def talk(folder):
    done = call("run", "toy", "seed=0:1", "--quiet", program=TOY, cwd=folder)
    assert done.stderr == "" and "\033" not in done.stdout
    assert call("--version").stdout.startswith("tiebreak ")
    assert "usage" in call("run", "--help").stdout and "usage" in call("help", "run").stdout
    for name in ("separable", "method", "min_margin", "separable.ngf_ray", "ngf", "diagonal", "angle_to.l2_svm"):
        assert name in call("explain", name).stdout
    assert all(test["good"] for test in json.loads(call("doctor", "--json").stdout)["tests"])
    subprocess.run(["bash", "-c", call("completion", "bash").stdout + "\nCOMP_WORDS=(tiebreak ru); COMP_CWORD=1; _tiebreak"
                    "; [[ \" ${COMPREPLY[*]} \" == *\" run \"* ]]"], check=True)


def data_from_elsewhere(folder):
    """A run stopped in one folder goes on from another: its data are still found."""
    with open(os.path.join(folder, "points.csv"), "w") as file:
        file.write("x\n1\n")
    words = ["run", "toy", "data=points.csv", "steps=200", "pause=0.005", "--name", "moved", "--time-limit", "0.2"]
    call(*words, program=TOY, cwd=folder, code=75)
    call("resume", os.path.join(folder, "runs/moved"), program=TOY, cwd="/")


def main():
    with tempfile.TemporaryDirectory() as folder:
        record = json_lines(folder)
        exports(folder, record)
        resolved(folder, record)
        runs(folder)
    for part in (dry_run, strictness, threads, stopping, talk, data_from_elsewhere):
        with tempfile.TemporaryDirectory() as folder:
            part(folder)
    print("the contract holds")


if __name__ == "__main__":
    main()
