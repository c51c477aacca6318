"""Prints what is in runs/ as the tables of README.md.

    python3 tests/perf/table.py
"""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
# What was aimed at, for one thread.
AIMS = {
    ("a", "train"): 3.5, ("a", "infer"): 5, ("a_constant", "train"): 4.5, ("a_compact", "train"): 7, ("a_ar", "train"): 2.5,
    ("adig", "train"): 4, ("b", "train"): 4, ("onm", "train"): 3, ("c", "train"): 1.7,
}


def main():
    print("| program | peer | threads | | ours, ms | peer, ms | ratio, least | ratio, median | aim |")
    print("|---|---|---|---|---|---|---|---|---|")
    for path in sorted(HERE.glob("runs/*.json")):
        run = json.loads(path.read_text())
        if "program" not in run:
            continue
        peer = f"{run['peer']['peer']}, {run['peer']['variant']}"
        name = " ".join([run["program"], *run["params"]])
        for kind in ("train", "infer"):
            of = run[kind]
            numbers = f"{of['ours_ms']:.2f} | {of['peer_ms']:.2f} | {of['ratio_min']:.2f} | {of['ratio_median']:.2f}"
            aim = AIMS.get((name, kind), "") if run["threads"] == 1 else ""
            print(f"| {name} | {peer} | {run['threads']} | {kind} | {numbers} | {aim} |")
    footprint = HERE / "runs/footprint.json"
    if footprint.exists():
        print("\n| | ours | peer | ratio |\n|---|---|---|---|")
        for what, of in json.loads(footprint.read_text()).items():
            (mine, ours), (theirs, peer) = list(of.items())[:2]
            print(f"| {what} | {ours:.3g} {mine.split('_')[-1]} | {peer:.4g} {theirs.split('_')[-1]} | {of['ratio']:.2f} |")


main()
