"""Counts the instructions of a training step with callgrind, so that a slower program shows on a busy machine.

    python3 tests/perf/instructions.py            # fails if a program needs over 10 % more than recorded
    python3 tests/perf/instructions.py --record   # writes instructions.json

A step is the difference between trainings of different length (an epoch is a step here): start, compilation and data do not count.
callgrind offers AVX2 but no AVX-512, so that machines of one kind agree; where AVX2 is missing nothing is checked.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SNNC = HERE.parent.parent / "target/release/snnc"
RECORDED = HERE / "instructions.json"
STEPS = {"a": (1, 3), "adig": (1, 6)}
MORE = 1.10


def instructions(program, epochs):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", SNNC, "run", HERE / f"{program}.snn"]
    command += ["--threads", "1", "--epochs", str(epochs), "--quiet"]
    run = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found:
        sys.exit(f"{program}: valgrind failed\n{run.stderr[-2000:]}")
    return int(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if not shutil.which("valgrind") or not cpuinfo.exists() or " avx2 " not in cpuinfo.read_text():
        print("instruction counts are not checked: this needs valgrind and a processor with AVX2")
        return
    counts = {}
    for program, (few, many) in STEPS.items():
        counts[program] = (instructions(program, many) - instructions(program, few)) // (many - few)
    if args.record:
        RECORDED.write_text(json.dumps(counts, indent=1) + "\n")
    recorded = json.loads(RECORDED.read_text())
    slower = [program for program, count in counts.items() if count > MORE * recorded[program]]
    for program, count in counts.items():
        print(f"{program}: {count} instructions a training step, {100 * count / recorded[program]:.1f} % of what is recorded")
    if slower:
        sys.exit(f"more than {MORE:.0%} of the recorded instructions: {', '.join(slower)}. If that is meant, record them anew.")


main()
