"""Segment angles and a height in pixels, computed by Sports2D's and Pose2Sim's own functions.

Run `python3 tests/oracle/segments.py` in the repository (needs numpy, pandas, pose2sim, sports2d);
it rewrites segments.json. Made with Sports2D 0.8.34 and Pose2Sim 0.10.49. The landmarks are
MediaPipe's of the demo video; mirrored, they are those of somebody who faces the other way. The
middle of the ears is given as their key point "Head". NaN becomes null.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from Pose2Sim.common import add_shoulder_neck_hip_coords, angle_dict, compute_height
from Sports2D.process import CORRECTION_2D_TO_3D, compute_angles_for_person

HERE = Path(__file__).parent
MIN_VISIBILITY = 0.5
FRAMES = [20, 40, 60, 68, 72, 90, 109, 118, 135, 150, 170, 185, 192, 200, 215, 225]
KEYPOINTS = {
    "Nose": 0, "LShoulder": 11, "RShoulder": 12, "LElbow": 13, "RElbow": 14, "LWrist": 15,
    "RWrist": 16, "LHip": 23, "RHip": 24, "LKnee": 25, "RKnee": 26, "LAnkle": 27, "RAnkle": 28,
    "LHeel": 29, "RHeel": 30, "LBigToe": 31, "RBigToe": 32,
}  # fmt: skip
EARS = [7, 8]
FEET = ["LBigToe", "LHeel", "RBigToe", "RHeel"]


def plain(value):
    return None if np.isnan(value) else float(value)


def main():
    goldens = np.load(HERE.parent / "goldens" / "golden_mediapipe_c1.npz")
    landmarks = goldens["on_landmarks"].astype(np.float64)
    width, height = (float(v) for v in goldens["image_size"])
    points = np.where(landmarks[:, :, 3:] >= MIN_VISIBILITY, landmarks[:, :, :2] * [width, height], np.nan)
    segments = [name for name, (_, kind, _, _) in angle_dict.items() if kind == "horizontal" and "hand" not in name]

    def angles(frame, mirrored):
        names = [*KEYPOINTS, "Head"]
        xy = np.array([*(points[frame, i] for i in KEYPOINTS.values()), points[frame, EARS].mean(axis=0)])
        # Their middle of the hips takes absolute values; far right of it all x are positive.
        x = 10 * width + (-xy[:, 0] if mirrored else xy[:, 0])
        y, scores, ids = xy[:, 1], np.ones(len(names)), list(range(len(names)))
        for name in ("Neck", "Hip"):
            x, y, scores = add_shoulder_neck_hip_coords(name, x, y, scores, ids, names)
            names.append(name)
            ids.append(len(x) - 1)
        feet = [names.index(name) for name in FEET]
        _, values, facing = compute_angles_for_person(
            x, y, "auto", True, ids, names, segments, angle_dict, L_R_direction_idx=feet
        )
        return {
            "frame": frame,
            "mirrored": mirrored,
            # Without all four points of the feet Sports2D says left, whatever the rest shows.
            "facing": None if np.isnan(x[feet]).any() else facing,
            "angles": {name: plain(value) for name, value in zip(segments, values)},
        }

    def height_px():
        columns = {name: points[:, i] for name, i in KEYPOINTS.items()}
        columns["Neck"] = (columns["LShoulder"] + columns["RShoulder"]) / 2
        columns["Hip"] = (columns["LHip"] + columns["RHip"]) / 2
        whole = ~np.isnan(np.concatenate(list(columns.values()), axis=1)).any(axis=1)
        frames = np.flatnonzero(whole)
        table = pd.concat(
            [pd.DataFrame(np.c_[xy[frames], np.zeros(len(frames))], columns=[name] * 3) for name, xy in columns.items()],
            axis=1,
        )
        return {"frames": [int(f) for f in frames], "height_px": CORRECTION_2D_TO_3D * float(compute_height(table))}

    frames = [angles(frame, mirrored) for mirrored in (False, True) for frame in FRAMES]
    lines = ",\n".join(json.dumps(frame) for frame in frames)
    (HERE / "segments.json").write_text(
        f'{{"frames": [\n{lines}\n],\n"height": {json.dumps(height_px())}\n}}\n'
    )


if __name__ == "__main__":
    main()
