"""Prints what is in runs/ as the tables of README.md.

    python3 tests/perf/table.py
"""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent


def main():
    print("| program | peer | threads | | ours, ms | peer, ms | ratio, least | ratio, median |")
    print("|---|---|---|---|---|---|---|---|")
    for path in sorted(HERE.glob("runs/*.json")):
        run = json.loads(path.read_text())
        if "program" not in run:
            continue
        peer = f"{run['peer']['peer']}, {run['peer']['variant']}"
        name = " ".join([run["program"], *run["params"]])
        for kind in ("train", "infer"):
            of = run[kind]
            numbers = f"{of['ours_ms']:.2f} | {of['peer_ms']:.2f} | {of['ratio_min']:.2f} | {of['ratio_median']:.2f}"
            print(f"| {name} | {peer} | {run['threads']} | {kind} | {numbers} |")


main()
