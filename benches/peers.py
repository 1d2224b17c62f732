"""Frames per second of Python pipelines beside posedata, from process start to exit, in one run.

Started by `make bench-peers` with the interpreter of a venv that holds mediapipe==0.10.21.
Arguments: the posedata binary, a folder for scratch files, the demo video.
"""

import json
import multiprocessing
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 3
# How many times as fast, by model in the order of MediaPipe's complexities.
WANTED = {"lite": 3.0, "full": 2.9, "heavy": 2.5}
TITLE = ["-metadata", "title=long"]
ANGLES = {"left_knee": (23, 25, 27), "right_knee": (24, 26, 28), "left_elbow": (11, 13, 15), "right_elbow": (12, 14, 16)}


def process(video, output, complexity=1):
    """A plain script: decode, pose, a few metrics, JSON."""
    import cv2
    import mediapipe
    import numpy as np

    pose = mediapipe.solutions.pose.Pose(model_complexity=complexity)
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


def provide_models(posedata):
    """Lays lite and heavy where MediaPipe's package would download them to."""
    import mediapipe

    folder = Path(mediapipe.__file__).parent / "modules" / "pose_landmark"
    for model in ("lite", "heavy"):
        target = folder / f"pose_landmark_{model}.tflite"
        if not target.exists():
            subprocess.run([posedata, "models", "add", model], check=True)
            found = subprocess.run([posedata, "models", "path", model], check=True, capture_output=True, text=True)
            shutil.copy(found.stdout.strip(), target)


def packets_of(demo, output, *options):
    """The same packets in another file."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *options, "-i", demo, "-c", "copy", "-an", *TITLE, str(output)], check=True)
    return str(output)


def main():
    posedata, scratch, demo = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    scratch.mkdir(parents=True, exist_ok=True)
    provide_models(posedata)
    long = packets_of(demo, scratch / "long.mp4", "-stream_loop", "5")
    # Other bytes, so that each is a video of its own.
    copies = []
    for i in range(4):
        TITLE[1] = f"title=copy {i}"
        copies.append(packets_of(demo, scratch / f"copy{i}.mp4"))
    script = [sys.executable, __file__]

    def ingest(model, *videos):
        options = ["--force", "--quiet", "--no-video", "--no-pose-json", "--pose-model", model]
        return [posedata, "ingest", *options, "--lake", str(scratch / f"lake-{model}"), *videos]

    print(f"{'':28}{'posedata s':>12}{'python s':>10}{'ratio':>8}{'wanted':>8}")
    for complexity, (model, wanted) in enumerate(WANTED.items()):
        plain = [*script, "--one", str(scratch), str(complexity), long]
        compare(f"45 s, {model}", wanted, ingest(model, long), plain)
    pool = [*script, "--pool", str(scratch), *copies]
    compare("four videos, two processes", 1.7, ingest("full", *copies), pool)


def compare(what, wanted, posedata, python):
    """Runs both in turn, so that a slow spell of the machine meets both."""
    secs = [[secs_of(posedata), secs_of(python)] for _ in range(RUNS)]
    ours, theirs = (statistics.median(runs) for runs in zip(*secs))
    print(f"{what:28}{ours:12.2f}{theirs:10.2f}{theirs / ours:8.2f}{wanted:8.1f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--one":
        process(sys.argv[4], Path(sys.argv[2]) / "one.json", int(sys.argv[3]))
    elif len(sys.argv) > 1 and sys.argv[1] == "--pool":
        run_pool(sys.argv[3:], Path(sys.argv[2]))
    else:
        main()
