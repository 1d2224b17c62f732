#!/usr/bin/env python3
"""Loads exported files with other people's readers and compares them with the lake.

    python -m venv venv && venv/bin/pip install -r tests/interop/requirements.txt
    venv/bin/python tests/interop/read_exports.py --posedata target/release/posedata --lake lake

TRC and MOT are loaded with OpenSim itself, and with the functions of Pose2Sim (which Sports2D uses
too) where that is installed; CSV with pandas, Parquet with pyarrow; pose JSON is checked against its
schema with jsonschema; C3D is read with ezc3d, COCO keypoints with pycocotools, and OpenPose's JSON as
Pose2Sim reads it. What they give is compared with what `posedata query` says. The lake must
hold at least one video with a pose.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import ezc3d
import jsonschema
import numpy as np
import opensim
import pandas as pd
import pyarrow.parquet
from pycocotools.coco import COCO

try:
    from Pose2Sim.common import read_mot, read_trc
except ImportError:
    read_mot = read_trc = None

# Pose2Sim's names of a few landmarks, as in its BlazePose marker set.
MARKERS = {"Nose": 0, "LShoulder": 11, "RShoulder": 12, "LHip": 23, "RAnkle": 28, "LBigToe": 31, "RBigToe": 32}


class Posedata:
    def __init__(self, program, lake):
        self.command = [program, "--lake", lake]

    def run(self, *arguments):
        return subprocess.run([*self.command, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout

    def query(self, sql):
        return json.loads(self.run("query", "--format", "json", "-e", sql))

    def export(self, export_format, video, folder):
        files = json.loads(self.run("export", export_format, video, "--output", folder, "--json", "--quiet"))
        return {file["person"]: file["path"] for file in files}


def is_same(found, expected):
    """Equal as 32-bit floats; missing where the lake has nothing."""
    expected = np.array([np.nan if v is None else v for v in expected], dtype=np.float32)
    return np.array_equal(np.asarray(found, dtype=np.float64).astype(np.float32), expected, equal_nan=True)


def check(condition, what):
    if not condition:
        sys.exit(f"differs from the lake: {what}")


def frames_of(posedata, video_id, person):
    """Metrics of a person by frame; None in frames without the person."""
    rows = posedata.query(f"from metrics where video_id = '{video_id}' and person = {person} and quality <> 'no_pose'")
    by_frame = {row["frame"]: row for row in rows}
    times = posedata.query(f"select distinct frame, time_secs from metrics where video_id = '{video_id}' order by frame")
    return [(t["frame"], t["time_secs"], by_frame.get(t["frame"])) for t in times]


def world_of(posedata, video_id, person, landmark):
    rows = posedata.query(
        "select frame, world_x_m, world_y_m, world_z_m from landmarks "
        f"where video_id = '{video_id}' and person = {person} and landmark_index = {landmark}"
    )
    return {row["frame"]: [row["world_x_m"], -row["world_y_m"], -row["world_z_m"]] for row in rows}


def check_trc(posedata, path, video, person, frames):
    table = opensim.TimeSeriesTableVec3(path)
    check(table.getTableMetaDataAsString("Units") == "m", "unit of markers")
    check(table.getNumRows() == len(frames), "rows of TRC")
    check(list(table.getIndependentColumn()) == [time for _, time, _ in frames], "times of TRC")
    labels = table.getColumnLabels()
    check(len(labels) == 33, "markers of TRC")
    readers = ["OpenSim"]
    if read_trc:
        coordinates, frame_column, time_column, markers, _ = read_trc(path)
        check(list(markers) == list(labels), "markers as Pose2Sim reads them")
        check(list(frame_column) == [frame for frame, _, _ in frames], "frames as Pose2Sim reads them")
        check(list(time_column) == [time for _, time, _ in frames], "times as Pose2Sim reads them")
        readers.append("Pose2Sim")
    for marker, landmark in MARKERS.items():
        world = world_of(posedata, video["video_id"], person, landmark)
        expected = [world.get(frame, [None] * 3) for frame, _, _ in frames]
        column = table.getDependentColumn(marker)
        for axis in range(3):
            wanted = [point[axis] for point in expected]
            check(is_same([column[row][axis] for row in range(len(frames))], wanted), f"{marker} in OpenSim")
            if read_trc:
                found = coordinates[marker].iloc[:, axis]
                check(is_same(found, wanted), f"{marker} in Pose2Sim")
    data = opensim.MarkerData(path)
    check(data.getNumFrames() == len(frames), "frames of MarkerData")
    return readers


def check_c3d(posedata, path, video, person, frames):
    c3d = ezc3d.c3d(path)
    parameters = c3d["parameters"]
    check(parameters["POINT"]["UNITS"]["value"] == ["mm"], "unit of C3D")
    points = c3d["data"]["points"]
    check(points.shape == (4, 33, len(frames)), "shape of C3D")
    labels = parameters["POINT"]["LABELS"]["value"]
    for marker, landmark in MARKERS.items():
        world = world_of(posedata, video["video_id"], person, landmark)
        place = labels.index(marker)
        for axis in range(3):
            wanted = [None if world.get(frame) is None else np.float32(world[frame][axis]) * np.float32(1000) for frame, _, _ in frames]
            check(is_same(points[axis, place, :], wanted), f"{marker} in ezc3d")
    return ["ezc3d"]


def points_of(posedata, video, landmark):
    rows = posedata.query(
        f"select frame, person, x::double * {video['width_px']} as x, y::double * {video['height_px']} as y, visibility from landmarks "
        f"where video_id = '{video['video_id']}' and landmark = '{landmark}'"
    )
    return {(row["frame"], row["person"]): row for row in rows}


def check_coco(posedata, path, video):
    coco = COCO(path)
    check(len(coco.getImgIds()) == video["frame_count"], "images of COCO")
    names = coco.loadCats([1])[0]["keypoints"]
    for name in ("nose", "left_wrist", "right_ankle"):
        expected = points_of(posedata, video, name)
        annotations = coco.loadAnns(coco.getAnnIds())
        check(len(annotations) == len(expected), "annotations of COCO")
        for annotation in annotations:
            row = expected[annotation["image_id"], annotation["person"]]
            x, y, flag = annotation["keypoints"][3 * names.index(name) :][:3]
            check(abs(x - row["x"]) < 1e-6 and abs(y - row["y"]) < 1e-6, f"{name} in COCO")
            check(flag == (2 if row["visibility"] >= 0.5 else 1), f"visibility of {name} in COCO")
    return ["pycocotools"]


def check_openpose(posedata, folder, video):
    files = sorted(Path(folder).glob("*.json"))
    check(len(files) == video["frame_count"], "frames of OpenPose")
    # BODY_25's numbers.
    for place, name in ((0, "nose"), (4, "right_wrist"), (11, "right_ankle"), (19, "left_foot_index"), (24, "right_heel")):
        expected = points_of(posedata, video, name)
        for frame, file in enumerate(files):
            for person in json.loads(file.read_text())["people"]:
                row = expected[frame, person["person_id"][0]]
                x, y, visibility = person["pose_keypoints_2d"][3 * place :][:3]
                check(abs(x - row["x"]) < 1e-6 and abs(y - row["y"]) < 1e-6, f"{name} in BODY_25")
                check(abs(visibility - row["visibility"]) < 1e-6, f"visibility of {name} in BODY_25")
    return ["BODY_25"]


def check_mot(path, frames):
    table = opensim.TimeSeriesTable(path)
    check(table.getTableMetaDataAsString("inDegrees") == "yes", "unit of angles")
    check(table.getNumRows() == len(frames), "rows of MOT")
    check(list(table.getIndependentColumn()) == [time for _, time, _ in frames], "times of MOT")
    readers = ["OpenSim"]
    if read_mot:
        columns, time_column, _ = read_mot(path)
        check(list(time_column) == [time for _, time, _ in frames], "times as Pose2Sim reads them")
        readers.append("Pose2Sim")
    labels = table.getColumnLabels()
    check("left_knee_deg" in labels and "trunk_segment_deg" in labels, "angles of MOT")
    for label in labels:
        wanted = [row and row[label] for _, _, row in frames]
        check(is_same(table.getDependentColumn(label).to_numpy(), wanted), f"{label} in OpenSim")
        if read_mot:
            check(is_same(columns[label], wanted), f"{label} in Pose2Sim")
    return readers


def check_wide(posedata, table, video):
    rows = posedata.query(f"from metrics where video_id = '{video['video_id']}' order by frame, person")
    check(len(table) == len(rows), "rows of the table")
    for column in rows[0]:
        if column in ("video_id", "sport"):
            continue
        wanted = [row[column] for row in rows]
        found = [None if pd.isna(v) else v for v in table[column]]
        if any(isinstance(v, str) or isinstance(v, bool) for v in wanted):
            check(found == wanted, column)
        elif column == "time_secs":
            check(found == wanted, column)
        else:
            check(is_same(found, wanted), column)
    landmarks = posedata.query(
        f"select frame, person, x, visibility, world_y_m from landmarks where video_id = '{video['video_id']}' and landmark = 'left_wrist'"
    )
    by_key = {(row["frame"], row["person"]): row for row in landmarks}
    keys = [(row["frame"], row["person"]) for row in rows]
    for value in ("x", "visibility", "world_y_m"):
        wanted = [by_key[key][value] if key in by_key else None for key in keys]
        check(is_same(table[f"left_wrist_{value}"], wanted), f"left_wrist_{value}")


def check_pose_json(posedata, path, video):
    objects = json.loads(Path(path).read_text())
    schema = json.loads(posedata.run("export", "pose-json", "--schema"))
    jsonschema.validate(objects, schema, cls=jsonschema.Draft202012Validator)
    rows = posedata.query(f"from metrics where video_id = '{video['video_id']}' order by frame, person")
    check([o["frame_index"] for o in objects] == [row["frame"] for row in rows], "frames of pose JSON")
    check([o["timestamp"] for o in objects] == [row["time_secs"] for row in rows], "times of pose JSON")
    check([o["valid"] for o in objects] == [row["quality"] != "no_pose" for row in rows], "valid frames")
    for name in ("left_knee_deg", "mean_visibility"):
        check(is_same([o["metrics"][name] for o in objects], [row[name] for row in rows]), name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posedata", default="posedata", help="the program")
    parser.add_argument("--lake", default="lake", help="folder of the lake")
    arguments = parser.parse_args()
    posedata = Posedata(arguments.posedata, arguments.lake)
    videos = posedata.query("select video_id, file_name, width_px, height_px, frame_count from videos where pose_frame_count > 0 order by file_name")
    if not videos:
        sys.exit("the lake has no video with a pose; run `posedata ingest` first")
    with tempfile.TemporaryDirectory() as folder:
        for video in videos:
            video_id = video["video_id"]
            for person, path in posedata.export("trc", video_id, folder).items():
                frames = frames_of(posedata, video_id, person)
                readers = check_trc(posedata, path, video, person, frames)
                print(f"{video['file_name']}: person {person}: TRC as {' and '.join(readers)} reads it: {len(frames)} frames")
            for person, path in posedata.export("mot", video_id, folder).items():
                frames = frames_of(posedata, video_id, person)
                readers = check_mot(path, frames)
                print(f"{video['file_name']}: person {person}: MOT as {' and '.join(readers)} reads it: {len(frames)} frames")
            for person, path in posedata.export("c3d", video_id, folder).items():
                readers = check_c3d(posedata, path, video, person, frames_of(posedata, video_id, person))
                print(f"{video['file_name']}: person {person}: C3D as {' and '.join(readers)} reads it")
            readers = check_coco(posedata, posedata.export("coco-keypoints", video_id, folder)[None], video)
            print(f"{video['file_name']}: COCO keypoints as {' and '.join(readers)} reads them")
            check_openpose(posedata, posedata.export("openpose", video_id, folder)[None], video)
            print(f"{video['file_name']}: BODY_25 as OpenPose writes it")
            check_wide(posedata, pd.read_csv(posedata.export("csv", video_id, folder)[None]), video)
            print(f"{video['file_name']}: CSV as pandas reads it")
            path = posedata.export("parquet", video_id, folder)[None]
            check_wide(posedata, pyarrow.parquet.read_table(path).to_pandas(), video)
            print(f"{video['file_name']}: Parquet as pyarrow reads it")
            check_pose_json(posedata, posedata.export("pose-json", video_id, folder)[None], video)
            print(f"{video['file_name']}: pose JSON as its schema wants it")


if __name__ == "__main__":
    main()
