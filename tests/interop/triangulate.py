#!/usr/bin/env python3
"""Triangulates `posedata export openpose` of the four single_cam clips with Pose2Sim.

    make clips
    posedata ingest "$(dirname "$(posedata models path single_cam01)")"
    python -m venv venv && venv/bin/pip install pose2sim
    venv/bin/python tests/interop/triangulate.py --posedata target/release/posedata --lake lake

The clips are those of Pose2Sim's demo of a single person, whose calibration its package has. Pose2Sim
calibrates, associates and triangulates with its own settings; nothing of its steps is changed. The
markers are compared with those that Pose2Sim's authors got from the same clips with OpenPose
(`S00_P00_T01_BalancingTrial_0-100.trc` of their repository, BSD-3-Clause): another model's, so that
centimetres are the measure, and left and right must be its own.
"""

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CAMERAS = 4
# OpenPose's and BlazePose's joints are not quite the same places of a body.
LARGEST_MEDIAN_M = 0.07

# Metres, by time in seconds.
REFERENCE = {
    1 / 60: {
        "RHip": (-0.0650, 0.9015, -1.4006),
        "RKnee": (-0.0396, 0.4931, -1.4485),
        "RAnkle": (0.0438, 0.1439, -1.5951),
        "LHip": (0.1041, 0.9088, -1.4590),
        "LKnee": (0.0304, 0.5362, -1.2635),
        "LAnkle": (0.0138, 0.1812, -1.1376),
        "Nose": (-0.0531, 1.5573, -1.1970),
        "RShoulder": (-0.1675, 1.3929, -1.4132),
        "RElbow": (-0.2730, 1.1455, -1.4798),
        "RWrist": (-0.3631, 0.9228, -1.3697),
        "LShoulder": (0.1449, 1.4142, -1.4454),
        "LElbow": (0.2770, 1.1649, -1.4726),
        "LWrist": (0.3546, 0.9378, -1.4581),
    },
    8 / 60: {
        "RHip": (-0.0907, 0.9162, -1.3309),
        "RKnee": (-0.0461, 0.5074, -1.4073),
        "RAnkle": (0.0335, 0.1591, -1.5867),
        "RHeel": (0.0570, 0.1273, -1.6402),
        "LHip": (0.0735, 0.9104, -1.3836),
        "LKnee": (0.0444, 0.5165, -1.1583),
        "LAnkle": (-0.0022, 0.1555, -1.1747),
        "LBigToe": (-0.0353, 0.0693, -1.0063),
        "LHeel": (0.0068, 0.1221, -1.1740),
        "Nose": (0.0149, 1.5604, -1.1381),
        "RShoulder": (-0.1221, 1.4239, -1.3464),
        "RElbow": (-0.2845, 1.2033, -1.4199),
        "RWrist": (-0.4062, 1.0432, -1.2427),
        "LShoulder": (0.1736, 1.4066, -1.3944),
        "LElbow": (0.2956, 1.1283, -1.3868),
        "LWrist": (0.3690, 0.9060, -1.3151),
    },
}


def lay_out(project, posedata, lake):
    """Pose2Sim's project: its own calibration and settings, our keypoints."""
    import Pose2Sim
    import toml

    demo = Path(Pose2Sim.__file__).parent / "Demo_SinglePerson"
    calibration = project / "calibration"
    calibration.mkdir()
    shutil.copy(demo / "calibration" / "Calib.qca.txt", calibration)
    clips = [f"single_cam{camera:02}.mp4" for camera in range(1, CAMERAS + 1)]
    command = [posedata, "--lake", lake, "export", "openpose", *clips, "--output", project / "pose", "--quiet"]
    subprocess.run(command, check=True)
    for camera in range(1, CAMERAS + 1):
        (project / "pose" / f"single_cam{camera:02}_json").rename(project / "pose" / f"cam{camera:02}_json")
    settings = toml.load(demo / "Config.toml")
    settings["project"].update(project_dir=".", frame_rate=60, frame_range="all")
    settings["pose"]["pose_model"] = "BODY_25"
    return settings


def read_markers(path):
    """Places of markers by time."""
    lines = path.read_text().splitlines()
    names = [name for name in lines[3].split("\t")[2:] if name]
    markers = {}
    for line in lines[5:]:
        cells = line.split("\t")
        if len(cells) < 2 + 3 * len(names):
            continue
        values = [float(cell) if cell else math.nan for cell in cells[2:]]
        markers[float(cells[1])] = {name: values[3 * i : 3 * i + 3] for i, name in enumerate(names)}
    return markers


def other_side(name):
    return {"L": "R", "R": "L"}.get(name[0], name[0]) + name[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posedata", required=True)
    parser.add_argument("--lake", required=True)
    options = parser.parse_args()
    program, lake = (str(Path(path).resolve()) for path in (options.posedata, options.lake))
    os.environ.setdefault("MPLBACKEND", "Agg")
    from Pose2Sim import Pose2Sim

    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        settings = lay_out(project, program, lake)
        os.chdir(project)
        Pose2Sim.calibration(settings)
        Pose2Sim.personAssociation(settings)
        Pose2Sim.triangulation(settings)
        found = read_markers(next((project / "pose-3d").glob("*.trc")))
        os.chdir("/")

    distances = []
    for secs, reference in REFERENCE.items():
        markers = found[min(found, key=lambda time: abs(time - secs))]
        for name, place in reference.items():
            distances.append(math.dist(place, markers[name]))
            if name != "Nose" and math.dist(place, reference.get(other_side(name), place)) > 0.3:
                is_own = distances[-1] < math.dist(place, markers[other_side(name)])
                if not is_own:
                    sys.exit(f"{name} at {secs:.3f} s is on the other side")
    median = statistics.median(distances)
    print(f"{len(distances)} markers: {median:.3f} m from Pose2Sim's own result (median), {max(distances):.3f} m at most")
    if not median < LARGEST_MEDIAN_M:
        sys.exit(f"more than {LARGEST_MEDIAN_M} m")


if __name__ == "__main__":
    main()
