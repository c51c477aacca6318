"""Measures `snnc bench FILE` and a peer in turns and writes what both took, and the ratios, to runs/NAME.json.

    python3 tests/perf/compare.py a --name a-torch-compile --peer "python3 tests/perf/peers/torch_hand.py a --serve"

The peer is started once. For each line on its standard input it measures, and prints one JSON line with `train` and `infer`, each with
`cpu_min`, `cpu_med`, `wall_min`, `wall_med` in seconds. With one thread CPU time is compared, else wall time. The machine may be
busy: the two measurements of a pair are next to each other, and the ratio of each pair counts.
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
SNNC = ROOT / "target/release/snnc"


class Peer:
    def __init__(self, command):
        self.process = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def measure(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit("the peer ended")

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def ours(program, threads, params):
    command = [SNNC, "bench", HERE / f"{program}.snn", "--threads", str(threads), "--json", "--quiet"]
    command += [part for param in params for part in ("-p", param)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(out)["jobs"][0]["metrics"]


def cpu():
    try:
        names = [line for line in open("/proc/cpuinfo") if line.startswith("model name")]
        return names[0].split(":")[1].strip()
    except (OSError, IndexError):
        return platform.processor()


def version():
    out = subprocess.run([SNNC, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    return f"{out} ({commit})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="a file of this folder, without .snn")
    parser.add_argument("--peer", required=True, help="command that measures when asked")
    parser.add_argument("--name", required=True)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-p", action="append", default=[], help="parameter of the program")
    args = parser.parse_args()
    clock = "cpu" if args.threads == 1 else "wall"
    peer, pairs = Peer(args.peer), []
    peer.measure()
    for _ in range(args.pairs):
        theirs, mine = peer.measure(), ours(args.program, args.threads, args.p)
        pair = {}
        for kind in ("train", "infer"):
            times = {"ours_ms": mine[f"{kind}.{clock}_min_ms"], "peer_ms": 1e3 * theirs[kind][f"{clock}_min"]}
            pair[kind] = {**times, "ratio": times["peer_ms"] / times["ours_ms"]}
        pairs.append(pair)
        print(*(f"{kind} {p['ours_ms']:.2f} {p['peer_ms']:.2f} {p['ratio']:.2f}" for kind, p in pair.items()), flush=True)
    peer.end()
    result = {
        "program": args.program, "batch": mine["batch"], "threads": args.threads, "clock": clock, "params": args.p, "version": version(),
        "peer": {key: theirs[key] for key in ("peer", "variant", "torch") if key in theirs},
        "machine": f"{cpu()}, {os.cpu_count()} processors",
    }
    for kind in ("train", "infer"):
        of = lambda key: [pair[kind][key] for pair in pairs]
        result[kind] = {
            "ours_ms": statistics.median(of("ours_ms")), "peer_ms": statistics.median(of("peer_ms")),
            "ratio_min": min(of("ratio")), "ratio_median": statistics.median(of("ratio")),
        }
    result["pairs"] = pairs
    path = HERE / "runs" / f"{args.name}.json"
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    temporary.rename(path)


main()
