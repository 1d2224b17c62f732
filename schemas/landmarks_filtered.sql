-- Landmarks after gap filling and low-pass filtering (`posedata metrics recompute`): one row per
-- video, person, frame and landmark that was visible (at least 0.5) or lies in a short gap; sorted
-- by landmark, then frame. The measured landmarks stay as they are, in landmarks.
CREATE TABLE landmarks_filtered (
    video_id VARCHAR NOT NULL,
    person SMALLINT NOT NULL,
    frame INTEGER NOT NULL,
    time_secs DOUBLE NOT NULL,
    landmark VARCHAR NOT NULL,
    landmark_index TINYINT NOT NULL,
    x FLOAT NOT NULL,
    y FLOAT NOT NULL,
    z FLOAT,
    world_x_m FLOAT,
    world_y_m FLOAT,
    world_z_m FLOAT,
    interpolated BOOLEAN NOT NULL,
    cutoff_hz FLOAT,
    sport VARCHAR NOT NULL
);

ALTER TABLE landmarks_filtered SET PARTITIONED BY (sport);

COMMENT ON TABLE landmarks_filtered IS 'The landmarks without noise: a zero-phase Butterworth low-pass over each landmark''s path; short gaps filled, long ones left open, likewise those over which the person jumps elsewhere. Written by posedata metrics recompute.';
COMMENT ON COLUMN landmarks_filtered.video_id IS 'Video, see videos.video_id.';
COMMENT ON COLUMN landmarks_filtered.person IS 'Number of the person within the video, from 0.';
COMMENT ON COLUMN landmarks_filtered.frame IS 'Frame number within the video, from 0, in display order.';
COMMENT ON COLUMN landmarks_filtered.time_secs IS 'Presentation time of the frame in seconds from the first frame; real seconds where the video has a slow_motion_factor.';
COMMENT ON COLUMN landmarks_filtered.landmark IS 'Name of the landmark, such as left_wrist; left and right are the person''s.';
COMMENT ON COLUMN landmarks_filtered.landmark_index IS 'BlazePose index of the landmark, 0 to 32.';
COMMENT ON COLUMN landmarks_filtered.x IS 'Horizontal position as a fraction of the picture''s width, 0 at the left edge. Stored in steps of 2^-18.';
COMMENT ON COLUMN landmarks_filtered.y IS 'Vertical position as a fraction of the picture''s height, 0 at the top edge. Stored in steps of 2^-18.';
COMMENT ON COLUMN landmarks_filtered.z IS 'Depth as a fraction of the picture''s width, 0 near the hips, negative towards the camera. Stored in steps of 2^-16. NULL where the pose model gives no depth (--pose-onnx).';
COMMENT ON COLUMN landmarks_filtered.world_x_m IS 'Metres to the right (in the picture) of the middle of the hips. Stored in steps of 2^-16. NULL where the pose model gives no metres (--pose-onnx).';
COMMENT ON COLUMN landmarks_filtered.world_y_m IS 'Metres below the middle of the hips. Stored in steps of 2^-16. NULL as world_x_m.';
COMMENT ON COLUMN landmarks_filtered.world_z_m IS 'Metres behind the middle of the hips, seen from the camera. Stored in steps of 2^-16. NULL as world_x_m.';
COMMENT ON COLUMN landmarks_filtered.interpolated IS 'TRUE where the landmark was not visible (or the person not found) and its position is interpolated between the visible frames around.';
COMMENT ON COLUMN landmarks_filtered.cutoff_hz IS 'Cut-off frequency of the low-pass filter, hertz; NULL where the path could not be filtered (9 frames or fewer, or frames that follow too slowly), so that the values are the measured ones.';
COMMENT ON COLUMN landmarks_filtered.sport IS 'Sport or activity, see videos.sport; partition of the files.';
