"""How a training step and an inference of `a` grow with steps, batch, width and input rate; writes runs/growth.json and growth.svg.

    python3 tests/perf/growth.py

One thread, CPU time, least of seven blocks. The dashed line is growth in proportion from the first point on.
"""
import json
import math
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
SNNC = HERE.parent.parent / "target/release/snnc"
AXES = {
    "n": ("steps", [25, 50, 100, 200, 400]),
    "samples": ("batch", [16, 32, 64, 128, 256, 512]),
    "width": ("hidden neurons of each layer", [128, 256, 512, 1024]),
    "rate": ("input rate", [0.01, 0.02, 0.05, 0.1, 0.2, 0.4]),
}
KINDS = {"train": "#1f6fb4", "infer": "#d1622b"}


def measure(name, value):
    command = [SNNC, "bench", HERE / "a.snn", "--threads", "1", "--json", "--quiet", "-p", f"{name}={value}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    metrics = json.loads(out)["jobs"][0]["metrics"]
    return {kind: metrics[f"{kind}.cpu_min_ms"] for kind in KINDS}


def panel(x0, label, points):
    """One diagram with logarithmic axes, as lines of SVG."""
    width, height, left, top = 250, 200, x0 + 45, 30
    xs = [value for value, _ in points]
    ys = [times[kind] for _, times in points for kind in KINDS]
    low, high = math.log10(min(ys)) - 0.1, math.log10(max(ys)) + 0.1
    first, last = math.log10(xs[0]), math.log10(xs[-1])
    place = lambda x, y: (
        left + width * (math.log10(x) - first) / (last - first),
        top + height * (high - max(low, min(high, math.log10(y)))) / (high - low),
    )
    line = lambda pairs, style: '<polyline fill="none" points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs) + f'" {style}/>'
    svg = [f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#888"/>']
    svg.append(f'<text x="{left + width / 2}" y="{top + height + 34}" text-anchor="middle">{label}</text>')
    for x in xs:
        at, bottom = place(x, ys[0])[0], top + height
        svg.append(f'<text x="{at:.1f}" y="{bottom + 15}" text-anchor="middle" font-size="10">{x:g}</text>')
    for exponent in range(math.ceil(low), math.floor(high) + 1):
        y = place(xs[0], 10**exponent)[1]
        svg.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        svg.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end" font-size="10">{10**exponent:g} ms</text>')
    for kind, color in KINDS.items():
        pairs = [(x, times[kind]) for x, times in points]
        start = pairs[0]
        svg.append(line([place(x, start[1] * x / start[0]) for x, _ in pairs], f'stroke="{color}" stroke-dasharray="3 3" opacity="0.5"'))
        svg.append(line([place(*pair) for pair in pairs], f'stroke="{color}" stroke-width="2"'))
        x, y = place(*pairs[-1])
        svg.append(f'<text x="{x - 4:.1f}" y="{y - 7:.1f}" text-anchor="end" fill="{color}">{kind}</text>')
    return svg


def main():
    result, svg = {}, []
    for at, (name, (label, values)) in enumerate(AXES.items()):
        points = [(value, measure(name, value)) for value in values]
        result[label] = [{"value": value, **times} for value, times in points]
        for value, times in points:
            print(label, value, *(f"{kind} {ms:.2f} ms" for kind, ms in times.items()), flush=True)
        svg += panel(310 * at, label, points)
    head = '<svg xmlns="http://www.w3.org/2000/svg" width="1250" height="280" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    for path, text in ((HERE / "runs/growth.json", json.dumps(result, indent=1)), (HERE / "growth.svg", "\n".join([head, *svg, "</svg>"]))):
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text + "\n")
        temporary.rename(path)


main()
