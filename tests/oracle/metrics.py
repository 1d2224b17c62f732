"""Computes posedata's per-frame metrics with numpy, from MediaPipe's own landmarks.

Independent of posedata's code: angles by the law of cosines, lengths by numpy.linalg.
Run `python3 tests/oracle/metrics.py` in the repository (needs numpy); it rewrites metrics.json.
"""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
MIN_VISIBILITY = 0.5
FRAMES = [0, 1, 20, 21, 60, 61, 90, 109, 150, 200]
FPS = 30.0
INDEX = {
    name: i
    for i, name in enumerate(
        "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer "
        "left_ear right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow "
        "right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index "
        "left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle "
        "left_heel right_heel left_foot_index right_foot_index".split()
    )
}
JOINTS = {
    "knee": ("hip", "knee", "ankle"),
    "hip": ("shoulder", "hip", "knee"),
    "ankle": ("knee", "ankle", "foot_index"),
    "elbow": ("shoulder", "elbow", "wrist"),
    "shoulder": ("hip", "shoulder", "elbow"),
    "wrist": ("elbow", "wrist", "index"),
}


def main():
    goldens = np.load(HERE.parent / "goldens" / "golden_mediapipe_c1.npz")
    width, height = (float(v) for v in goldens["image_size"])
    image = goldens["on_landmarks"].astype(np.float64)
    world = goldens["on_world"].astype(np.float64)

    def visible(frame, *names):
        return all(image[frame, INDEX[n], 3] >= MIN_VISIBILITY for n in names)

    def pixel(frame, name):
        return image[frame, INDEX[name], :2] * [width, height]

    def meters(frame, name):
        return world[frame, INDEX[name], :3]

    def length(frame, point, a, b):
        return float(np.linalg.norm(point(frame, a) - point(frame, b))) if visible(frame, a, b) else None

    def middle(frame, point, part):
        names = (f"left_{part}", f"right_{part}")
        return (point(frame, names[0]) + point(frame, names[1])) / 2 if visible(frame, *names) else None

    def angle(frame, a, vertex, b):
        if not visible(frame, a, vertex, b):
            return None
        p, v, q = (meters(frame, n) for n in (a, vertex, b))
        sides = [np.linalg.norm(p - v), np.linalg.norm(q - v), np.linalg.norm(p - q)]
        cosine = (sides[0] ** 2 + sides[1] ** 2 - sides[2] ** 2) / (2 * sides[0] * sides[1])
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    def divide(a, b):
        return a / b if a is not None and b else None

    result = []
    for frame in FRAMES:
        if np.isnan(image[frame, 0, 0]):
            continue
        m = {"frame": frame}
        m["shoulder_width_m"] = length(frame, meters, "left_shoulder", "right_shoulder")
        m["hip_width_m"] = length(frame, meters, "left_hip", "right_hip")
        m["shoulder_hip_ratio"] = divide(m["shoulder_width_m"], m["hip_width_m"])
        shoulders, hips = middle(frame, pixel, "shoulder"), middle(frame, pixel, "hip")
        torso = None if shoulders is None or hips is None else float(np.linalg.norm(shoulders - hips))
        m["torso_length_px"] = torso
        shoulder_px = length(frame, pixel, "left_shoulder", "right_shoulder")
        hip_px = length(frame, pixel, "left_hip", "right_hip")
        m["shoulder_width_torso"] = divide(shoulder_px, torso)
        m["hip_width_torso"] = divide(hip_px, torso)
        m["shoulder_hip_ratio_image"] = divide(shoulder_px, hip_px)
        for joint, (a, vertex, b) in JOINTS.items():
            for side in ("left", "right"):
                m[f"{side}_{joint}_deg"] = angle(frame, f"{side}_{a}", f"{side}_{vertex}", f"{side}_{b}")
        top, bottom = middle(frame, meters, "shoulder"), middle(frame, meters, "hip")
        if top is None or bottom is None:
            m["trunk_lean_deg"] = None
        else:
            trunk = top - bottom
            # World y points down: upright is -y.
            m["trunk_lean_deg"] = float(np.degrees(np.arccos(-trunk[1] / np.linalg.norm(trunk))))
        has_before = frame > 0 and not np.isnan(image[frame - 1, 0, 0])
        before = middle(frame - 1, pixel, "hip") if has_before else None
        speed = None if before is None or hips is None else float(np.linalg.norm(hips - before)) * FPS
        m["center_speed_px_per_sec"] = speed
        m["center_speed_torso_per_sec"] = divide(speed, torso)
        peak, name = None, None
        if has_before:
            for n in INDEX:
                if visible(frame, n) and visible(frame - 1, n):
                    s = float(np.linalg.norm(pixel(frame, n) - pixel(frame - 1, n))) * FPS
                    if peak is None or s > peak:
                        peak, name = s, n
        m["peak_landmark_speed_px_per_sec"] = peak
        m["peak_landmark_speed_torso_per_sec"] = divide(peak, torso)
        m["peak_landmark"] = name
        m["mean_visibility"] = float(image[frame, :, 3].mean())
        result.append(m)
    (HERE / "metrics.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
