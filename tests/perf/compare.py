"""Runs `snnc bench FILE` and a peer's command in turns and writes what both took, and the ratios, to runs/NAME.json.

    python3 tests/perf/compare.py a "python3 train_torchfam.py --workload A784 --peer torchhand --variant compile --threads 1" \
        --cwd PEERS --pairs 7 --name a-torchhand-compile

The peer prints one JSON line with `train` and `infer`, each with `cpu_min`, `cpu_med`, `wall_min`, `wall_med` in seconds. With one
thread CPU time is compared, else wall time. The machine may be busy: pairs run next to each other, and the ratio of each pair counts.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def last_json(text):
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit("no JSON line in:\n" + text[-2000:])
    return json.loads(lines[-1])


def ours(program, threads, params):
    command = [ROOT / "target/release/snnc", "bench", HERE / f"{program}.snn", "--threads", str(threads), "--json", "--quiet"]
    command += [part for param in params for part in ("-p", param)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return last_json(out)["jobs"][0]["metrics"]


def theirs(command, cwd):
    run = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=cwd)
    return last_json(run.stdout)


def cpu():
    try:
        names = [line for line in open("/proc/cpuinfo") if line.startswith("model name")]
        return names[0].split(":")[1].strip()
    except (OSError, IndexError):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="a file of this folder, without .snn")
    parser.add_argument("peer", help="command that prints a JSON line")
    parser.add_argument("--cwd", default=".", help="folder of the peer's command")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-p", action="append", default=[], help="parameter of the program")
    parser.add_argument("--name", required=True)
    args = parser.parse_args()
    clock = "cpu" if args.threads == 1 else "wall"
    pairs = []
    for _ in range(args.pairs):
        mine, peer = ours(args.program, args.threads, args.p), theirs(args.peer, args.cwd)
        pair = {}
        for kind in ("train", "infer"):
            pair[kind] = {"ours_ms": mine[f"{kind}.{clock}_min_ms"], "peer_ms": 1e3 * peer[kind][f"{clock}_min"]}
            pair[kind]["ratio"] = pair[kind]["peer_ms"] / pair[kind]["ours_ms"]
        pairs.append(pair)
        print(json.dumps(pair), flush=True)
    versions = {key: peer[key] for key in ("peer", "variant", "torch") if key in peer}
    result = {
        "program": args.program, "threads": args.threads, "clock": clock, "params": args.p, "peer": versions,
        "machine": f"{cpu()}, {os.cpu_count()} processors", "pairs": pairs,
    }
    for kind in ("train", "infer"):
        ratios = [pair[kind]["ratio"] for pair in pairs]
        result[kind] = {"ratio_min": min(ratios), "ratio_median": statistics.median(ratios)}
        print(kind, "ratio: least", round(min(ratios), 2), "median", round(statistics.median(ratios), 2))
    path = HERE / "runs" / f"{args.name}.json"
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    temporary.rename(path)


main()
