"""Frames per second of Python pipelines beside posedata, from process start to exit, in one run.

Started by `make bench-peers` with the interpreter of a venv that holds mediapipe==0.10.21.
Arguments: the posedata binary, a folder for scratch files, the demo video.
"""

import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 3
ANGLES = {"left_knee": (23, 25, 27), "right_knee": (24, 26, 28), "left_elbow": (11, 13, 15), "right_elbow": (12, 14, 16)}


def process(video, output):
    """A plain script: decode, pose, a few metrics, JSON."""
    import cv2
    import mediapipe
    import numpy as np

    pose = mediapipe.solutions.pose.Pose(model_complexity=1)
    capture = cv2.VideoCapture(str(video))
    frames = []
    while True:
        is_frame, picture = capture.read()
        if not is_frame:
            break
        result = pose.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        entry = {"frame_index": len(frames), "timestamp": capture.get(cv2.CAP_PROP_POS_MSEC) / 1000}
        if result.pose_landmarks:
            entry["points"] = [(p.x, p.y, p.z, p.visibility) for p in result.pose_landmarks.landmark]
            world = np.array([(p.x, p.y, p.z) for p in result.pose_world_landmarks.landmark])
            entry["metrics"] = {"shoulder_width": float(np.linalg.norm(world[11] - world[12]))}
            for name, (a, v, b) in ANGLES.items():
                p, q = world[a] - world[v], world[b] - world[v]
                cosine = np.dot(p, q) / (np.linalg.norm(p) * np.linalg.norm(q))
                entry["metrics"][name] = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        frames.append(entry)
    Path(output).write_text(json.dumps(frames))
    return len(frames)


def worker(arguments):
    return process(*arguments)


def run_pool(videos, scratch):
    jobs = [(video, scratch / f"{Path(video).stem}.json") for video in videos]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(worker, jobs, chunksize=1)


def secs_of(command):
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main():
    posedata, scratch, demo = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    scratch.mkdir(parents=True, exist_ok=True)
    videos = []
    for i in range(4):
        video = scratch / f"copy{i}.mp4"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-i", demo, "-c", "copy", "-metadata", f"title=copy {i}", str(video)],
            check=True,
        )
        videos.append(str(video))
    frames = 230
    script = [sys.executable, __file__]
    commands = {
        ("one video", "posedata"): lambda: [posedata, "ingest", "--force", "--quiet", "--no-video", "--no-pose-json", "--lake", str(scratch / "one"), demo],
        ("one video", "python script"): lambda: [*script, "--one", str(scratch), demo],
        ("four videos", "posedata"): lambda: [posedata, "ingest", "--force", "--quiet", "--no-video", "--no-pose-json", "--lake", str(scratch / "four"), *videos],
        ("four videos", "python, two processes"): lambda: [*script, "--pool", str(scratch), *videos],
    }
    secs = {key: [] for key in commands}
    for _ in range(RUNS):
        # In turn, so that a slow spell of the machine meets all.
        for key, command in commands.items():
            secs[key].append(secs_of(command()))
    print(f"{'':14}{'':24}{'seconds':>9}{'frames/s':>10}")
    rates = {}
    for (what, who), runs in secs.items():
        median = statistics.median(runs)
        count = frames * (4 if what == "four videos" else 1)
        rates[what, who] = count / median
        print(f"{what:14}{who:24}{median:9.2f}{count / median:10.1f}")
    one = rates["one video", "posedata"] / rates["one video", "python script"]
    four = rates["four videos", "posedata"] / rates["four videos", "python, two processes"]
    print(f"posedata / python, one video:   {one:.2f} (wanted >= 3.5)")
    print(f"posedata / python, four videos: {four:.2f} (wanted >= 2.1)")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--one":
        process(sys.argv[3], Path(sys.argv[2]) / "one.json")
    elif len(sys.argv) > 1 and sys.argv[1] == "--pool":
        run_pool(sys.argv[3:], Path(sys.argv[2]))
    else:
        main()
