"""Filters paths with pauses with scipy, for posedata's filter to be compared with.

Run `python3 tests/oracle/pauses.py` in the repository (needs numpy and scipy); it rewrites
pauses.json. Made with scipy 1.17.1. Each stretch between two pauses is filtered on its own, at its own
rate; a stretch of 9 frames or fewer, or of a rate that is not above twice the cut-off, stays.
"""

import json
from pathlib import Path

import numpy as np
from scipy import signal

HERE = Path(__file__).parent
# Frames, frames per second, and seconds of nothing behind them.
CASES = {
    "thirty frames, twenty seconds of nothing, thirty frames": [(30, 30, 20.0), (30, 30, 0.0)],
    "two rates and two short pauses": [(40, 30, 0.5), (60, 60, 1.0), (25, 24, 0.0)],
    "a stretch that is too short and one that is too slow": [(30, 30, 5.0), (6, 30, 5.0), (20, 8, 5.0), (30, 30, 0.0)],
}
CUTOFF_HZ = 6


def main():
    random = np.random.default_rng(12)
    cases = []
    for name, parts in CASES.items():
        times, values, expected, stretches = [], [], [], []
        start = 0.0
        for count, rate, pause in parts:
            stretch = start + np.arange(count) / rate
            # As the lake stores it: fractions of a picture, here in steps of 1/1024.
            path = np.round((0.5 + np.cumsum(random.normal(size=count)) / 64) * 1024) / 1024
            is_filtered = count > 9 and CUTOFF_HZ < rate / 2
            if is_filtered:
                b, a = signal.butter(2, CUTOFF_HZ / (rate / 2))
                filtered = signal.filtfilt(b, a, path)
            else:
                filtered = path
            stretches.append({"first_frame": len(times), "rate_hz": rate, "is_filtered": is_filtered})
            times += [float(t) for t in stretch]
            values += [float(v) for v in path]
            expected += [float(v) for v in filtered]
            start = times[-1] + (pause or 1.0)
        cases.append(
            {
                "name": name,
                "cutoff_hz": CUTOFF_HZ,
                "stretches": stretches,
                "times_secs": times,
                "input": values,
                "output": expected,
            }
        )
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "pauses.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
