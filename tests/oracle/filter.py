"""Filters paths with scipy and with Pose2Sim, for posedata's filter to be compared with.

Run `python3 tests/oracle/filter.py` in the repository (needs numpy, scipy, pose2sim); it rewrites
filter.json. Made with scipy 1.17.1 and Pose2Sim 0.10.49. NaN becomes null.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from Pose2Sim.common import interpolate_zeros_nans
from Pose2Sim.filtering import butterworth_filter_1d
from scipy import signal

HERE = Path(__file__).parent
MIN_VISIBILITY = 0.5
LANDMARKS = {"nose": 0, "left_wrist": 15, "left_ankle": 27, "right_foot_index": 32}


def plain(values):
    return [None if np.isnan(v) else float(v) for v in values]


def scipy_cases():
    """signal.butter(2) and signal.filtfilt with its own padding, on noise of several lengths."""
    random = np.random.default_rng(6)
    for rate, cutoff, count in [(30, 6, 60), (29.97, 6.5, 10), (120, 12, 80), (25, 0.4, 50), (60, 29.5, 40)]:
        path = np.cumsum(random.normal(size=count)) + 100
        b, a = signal.butter(2, cutoff / (rate / 2))
        yield {
            "rate_hz": rate,
            "cutoff_hz": cutoff,
            "max_gap_frames": 0,
            "input": plain(path),
            "output": plain(signal.filtfilt(b, a, path)),
        }


def pose2sim_cases():
    """Pose2Sim's gap filling and filter on landmarks of the demo video, hidden ones left out."""
    goldens = np.load(HERE.parent / "goldens" / "golden_mediapipe_c1.npz")
    landmarks = goldens["on_landmarks"].astype(np.float64)
    width = float(goldens["image_size"][0])
    for name, index in LANDMARKS.items():
        for max_gap, cutoff in [(4, 6), (10, 3)]:
            path = np.where(landmarks[:, index, 3] >= MIN_VISIBILITY, landmarks[:, index, 0] * width, np.nan)
            column = pd.Series(path)
            filled = interpolate_zeros_nans(column, max_gap, "linear")
            settings = {"filtering": {"butterworth": {"order": 4, "cut_off_frequency": cutoff}}}
            yield {
                "landmark": name,
                "rate_hz": 30,
                "cutoff_hz": cutoff,
                "max_gap_frames": max_gap,
                "input": plain(path),
                "output": plain(butterworth_filter_1d(settings, 30, filled)),
            }


def main():
    cases = [*scipy_cases(), *pose2sim_cases()]
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "filter.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
