"""Cold start and peak memory, beside the same of a peer, and two threads beside one; writes runs/footprint.json.

    python3 tests/perf/footprint.py --python venv/bin/python

Cold start: from the start of the process until a training of one step of `adig` is done. Memory: the most that a training of three
steps of `a` with 200 time steps had resident. Seven runs of ours and three of the peer in turns; medians. Two threads beside one: the
time on the clock of a training step of `a` and `b`, five times in turns.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
SNNC = HERE.parent.parent / "target/release/snnc"


def ours(program, *options):
    """Seconds and MB of a run."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [SNNC, "run", HERE / f"{program}.snn", "--threads", "1", "--quiet", *options], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{program}: snnc failed")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def theirs(python, *options):
    command = [python, HERE / "peers/torch_hand.py", *options]
    begin = time.perf_counter()
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return {**json.loads(run.stdout.splitlines()[-1]), "process_s": time.perf_counter() - begin}


def step_ms(program, threads):
    command = [SNNC, "bench", HERE / f"{program}.snn", "--threads", str(threads), "--json", "--quiet"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)["jobs"][0]["metrics"]["train.wall_min_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="a Python that has torch")
    args = parser.parse_args()
    start = {"ours_s": [], "peer_s": []}
    memory = {"ours_mb": [], "peer_mb": []}
    for turn in range(7):
        start["ours_s"].append(ours("adig", "--epochs", "1")[0])
        memory["ours_mb"].append(ours("a", "--epochs", "3", "-p", "n=200")[1])
        if turn < 3:
            start["peer_s"].append(theirs(args.python, "adig", "--eager", "--first")["first_s"])
            memory["peer_mb"].append(theirs(args.python, "a", "--eager", "--steps", "200", "--rss")["rss_mb"])
    threads = {program: {"two_ms": [], "one_ms": []} for program in ("a", "b")}
    for program, times in threads.items():
        for _ in range(5):
            times["two_ms"].append(step_ms(program, 2))
            times["one_ms"].append(step_ms(program, 1))
    result = {}
    sets = {"cold_start": start, "memory": memory, **{f"{p}, two threads beside one": times for p, times in threads.items()}}
    for name, of in sets.items():
        medians = {key: statistics.median(values) for key, values in of.items()}
        mine, peer = medians.values()
        result[name] = {**medians, "ratio": peer / mine, "all": of}
        print(name, medians, f"ratio {peer / mine:.1f}")
    path = HERE / "runs" / "footprint.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, indent=1) + "\n")
    temporary.rename(path)


main()
