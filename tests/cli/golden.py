#!/usr/bin/env python3
"""Compares what the program says, and its exit code, with a file of golden cases.

usage: golden.py PROGRAM CASES [--update]
A case is
    # title
    $ shell command in which `tiebreak` is the program
    [exit code]
    what it says on stdout and stderr
and runs in a fresh folder holding copies of CASES' neighbours in files/.  `...` in a golden line stands for anything;
--update writes what the program says now.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile


def read_cases(path):
    cases, current = [], None
    for line in open(path).read().split("\n"):
        if line.startswith("# "):
            current = {"title": line[2:], "commands": [], "code": 0, "text": []}
            cases.append(current)
        elif current and line.startswith("$ "):
            current["commands"].append(line[2:])
        elif current and re.fullmatch(r"\[\d+\]", line):
            current["code"] = int(line[1:-1])
        elif current is not None:
            current["text"].append(line)
    for case in cases:
        case["text"] = "\n".join(case["text"]).strip("\n")
    return cases


def perform(program, case, files):
    with tempfile.TemporaryDirectory() as folder:
        if os.path.isdir(files):
            shutil.copytree(files, folder, dirs_exist_ok=True)
        os.makedirs(os.path.join(folder, ".bin"))
        os.symlink(program, os.path.join(folder, ".bin", "tiebreak"))
        env = {k: v for k, v in os.environ.items() if k not in ("TIEBREAK_STUDIES", "NO_COLOR")}
        env.update(PATH=os.path.join(folder, ".bin") + ":" + os.environ["PATH"], HOME=folder, TERM="xterm")
        done = subprocess.run(["sh", "-c", "\n".join(case["commands"])], cwd=folder, env=env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        left = [os.path.join(base, name) for base, dirs, names in os.walk(folder) for name in names + dirs
                if name.startswith(".new") or name.endswith(".tmp")]
        return done.returncode, done.stdout.strip("\n").replace(folder, "FOLDER"), left


def same(golden, said):
    pattern = "".join(".*" if part == "..." else re.escape(part) for part in re.split(r"(\.\.\.)", golden))
    return re.fullmatch(pattern, said, re.DOTALL) is not None


def main():
    program, path, update = os.path.abspath(sys.argv[1]), sys.argv[2], "--update" in sys.argv
    cases, failures = read_cases(path), 0
    for case in cases:
        code, said, left = perform(program, case, os.path.join(os.path.dirname(path), "files"))
        if code != case["code"] or left or not same(case["text"], said):
            if not update:
                print(f"--- {case['title']}\n$ {'; '.join(case['commands'])}\nexpected [{case['code']}]\n{case['text']}\n"
                      f"found [{code}]\n{said}\n" + (f"left half-written: {left}\n" if left else ""))
            failures += 1
            if not same(case["text"], said):
                case["text"] = said
            case["code"] = code
    if update:
        with open(path, "w") as file:
            for case in cases:
                commands = "\n".join("$ " + c for c in case["commands"])
                file.write(f"# {case['title']}\n{commands}\n[{case['code']}]\n{case['text']}\n\n")
        print(f"{failures} of {len(cases)} cases updated")
        return
    print(f"{len(cases) - failures} of {len(cases)} cases as expected")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
