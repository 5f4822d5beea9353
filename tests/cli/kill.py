#!/usr/bin/env python3
"""Kills a running program at random moments (SIGKILL) and resumes it: the records must equal those of a run that nobody
disturbed, but for names, folders and times.

usage: kill.py PROGRAM ROUNDS SECONDS STUDY key=value …   SECONDS: about how long one undisturbed batch takes
"""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time


def essence(line):
    record = json.loads(line)
    for key in ("run", "files", "seconds", "threads"):
        del record[key]
    return json.dumps(record)


def records(folder):
    found = {}
    for base, _, names in os.walk(folder):
        if "record.json" in names:
            with open(os.path.join(base, "record.json")) as file:
                found[os.path.basename(base) if "/" in os.path.relpath(base, folder) else "only"] = essence(file.read())
    return found


def killed_after(command, folder, seconds):
    """Starts, kills, tells whether it had ended by itself before."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{errors.decode()}")
    return process.returncode == 0


def main():
    program, rounds, seconds, words = os.path.abspath(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
    seed = int(os.environ.get("KILL_SEED", time.time_ns() % 1000000))
    print(f"KILL_SEED={seed}")
    draw = random.Random(seed)
    run = [program, "run", *words, "--checkpoint-every", "0.01"]
    kills = resumed = 0
    with tempfile.TemporaryDirectory() as top:
        whole = os.path.join(top, "whole")
        os.mkdir(whole)
        subprocess.run(run, cwd=whole, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        expected = records(os.path.join(whole, "runs"))
        assert expected
        for k in range(rounds):
            folder = os.path.join(top, str(k))
            os.mkdir(folder)
            ended = killed_after(run, folder, draw.random() * seconds)
            kills += not ended
            runs = os.path.join(folder, "runs")
            names = [n for n in os.listdir(runs) if n[0] != "." and n != "index.sqlite"] if os.path.isdir(runs) else []
            if not names:  # killed before there was a folder: nothing to resume, nothing half-made in sight
                continue
            assert len(names) == 1, names
            while not ended:
                ended = killed_after([program, "resume", names[0], "--checkpoint-every", "0.01"], folder,
                                     draw.random() * seconds * 1.5)
                kills += not ended
                resumed += 1
            found = records(runs)
            if found != expected:
                for name in expected:
                    if found.get(name) != expected[name]:
                        print(f"run {name} differs:\n{expected[name][:2000]}\n{str(found.get(name))[:2000]}")
                sys.exit("a resumed run differs")
            left = [n for n in os.listdir(runs) if n.startswith(".new")]
            members = os.path.join(runs, names[0])
            left += [n for n in os.listdir(members) if n.startswith(".new")]
            assert not left or not resumed, left
    print(f"{kills} kills, {resumed} times resumed, same records")


if __name__ == "__main__":
    main()
