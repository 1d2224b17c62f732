#!/usr/bin/env python3
"""Compares contacts and toe-offs with those that Pose2Sim's `trc_gaitevents` finds in the same coordinates.

    python -m venv venv && venv/bin/pip install pose2sim
    venv/bin/python tests/interop/gait_events.py --posedata target/release/posedata --lake lake --person 1

The lake must hold somebody who walks across the picture, filtered by `posedata metrics recompute`, such
as person 1 of the demo video (`posedata ingest demo.mp4 --max-persons 2`). Pose2Sim's method is
`forward_coordinates`, posedata's is `zeni`: both after Zeni and others (2008), each written for itself.
Every contact in the lake must be one of Pose2Sim's within a frame. Pose2Sim finds more, where somebody
is hidden or does not walk: it asks no more of a contact than a peak. Toe-offs are told, too; where the
model exchanged the legs they differ, because posedata puts them right before.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

MARKERS = {"right_heel": "RHeel", "right_foot_index": "RBigToe", "left_heel": "LHeel", "left_foot_index": "LBigToe"}
# What the utility calls a peak stands out by 0.1 m, so that pixels have to become metres.
METERS_OF_LEG = 0.85


def query(options, sql):
    command = [options.posedata, "--lake", options.lake, "query", "--format", "json", "-e", sql]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def stretches(frames):
    """Runs of frames in which all markers are there."""
    runs = []
    for frame in sorted(frames):
        if len(frames[frame]) == len(MARKERS) + 2:
            if runs and runs[-1][-1] == frame - 1:
                runs[-1].append(frame)
            else:
                runs.append([frame])
    return runs


def write_trc(path, run, frames, times, meters_per_px):
    names = [*MARKERS.values(), "Hip"]
    head = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"30\t30\t{len(run)}\t{len(names)}\tm\t30\t0\t{len(run)}",
        "Frame#\tTime\t" + "".join(f"{name}\t\t\t" for name in names),
        "\t\t" + "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, len(names) + 1)),
    ]
    with path.open("w") as out:
        print("\n".join(head), file=out)
        for number, frame in enumerate(run):
            points = frames[frame]
            hips = [(a + b) / 2 for a, b in zip(points["left_hip"], points["right_hip"], strict=True)]
            places = [*(points[name] for name in MARKERS), hips]
            cells = [cell for x, y in places for cell in (x * meters_per_px, -y * meters_per_px, 0.0)]
            print("\t".join(map(str, [number, times[frame], *cells])), file=out)


def compare(options, video_id, person, folder):
    """The lake's events, and how many frames each lies from the nearest one of Pose2Sim."""
    from Pose2Sim.Utilities import trc_gaitevents

    names = ", ".join(f"'{name}'" for name in [*MARKERS, "left_hip", "right_hip"])
    rows = query(
        options,
        f"""select frame, time_secs, landmark, x * width_px as x, y * height_px as y
        from landmarks_filtered join videos using (video_id)
        where video_id = '{video_id}' and person = {person} and landmark in ({names})""",
    )
    frames, times = {}, {}
    for row in rows:
        frames.setdefault(row["frame"], {})[row["landmark"]] = (row["x"], row["y"])
        times[row["frame"]] = row["time_secs"]
    events = query(
        options,
        f"""select event, side, time_secs from events
        where video_id = '{video_id}' and person = {person} and method = 'zeni'""",
    )
    found = []
    for run in stretches(frames):
        if len(run) < 30:
            continue
        points = [frames[frame] for frame in run]
        leg_px = sorted(p["left_heel"][1] - p["left_hip"][1] for p in points)[len(points) // 2]
        ahead = sum(p["left_foot_index"][0] - p["left_heel"][0] for p in points)
        path = folder / "walk.trc"
        write_trc(path, run, frames, times, METERS_OF_LEG / leg_px)
        direction = (1 if ahead > 0 else -1, "X")
        with contextlib.redirect_stdout(io.StringIO()):
            secs, _ = trc_gaitevents.gait_events_fwd_coords(path, direction, plot=False)
        frame_secs = (times[run[-1]] - times[run[0]]) / (len(run) - 1)
        kinds = [("right", "initial_contact"), ("left", "initial_contact"), ("right", "toe_off"), ("left", "toe_off")]
        for (side, kind), moments in zip(kinds, secs, strict=True):
            ours = [e["time_secs"] for e in events if (e["side"], e["event"]) == (side, kind)]
            for our in ours:
                # The utility cleans both ends of a stretch.
                if not times[run[0]] + 0.5 <= our <= times[run[-1]] - 0.5:
                    continue
                off = min((abs(moment - our) for moment in moments), default=float("inf"))
                found.append((kind, side, our, off / frame_secs))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posedata", required=True)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--person", type=int, help="only this one of each video")
    options = parser.parse_args()
    walkers = query(options, "select distinct video_id, person from cycles where kind = 'walk' order by all")
    walkers = [one for one in walkers if options.person in (None, one["person"])]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for walker in walkers:
            found += compare(options, walker["video_id"], walker["person"], Path(folder))
    if not found:
        sys.exit("nobody walks in this lake")
    for kind, side, secs, off in sorted(found, key=lambda event: event[2]):
        print(f"{secs:.3f} s {side} {kind}: {off:.2f} frames")
    contacts = [off for kind, _, _, off in found if kind == "initial_contact"]
    print(f"{len(contacts)} contacts, {max(contacts):.2f} frames from Pose2Sim's at most")
    if max(contacts) > 1:
        sys.exit("a contact lies more than a frame from Pose2Sim's")


if __name__ == "__main__":
    main()
