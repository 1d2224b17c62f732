-- One row per video, person, frame with a pose, and landmark; sorted by landmark, then frame.
CREATE TABLE landmarks (
    video_id VARCHAR NOT NULL,
    person SMALLINT NOT NULL,
    frame INTEGER NOT NULL,
    time_secs DOUBLE NOT NULL,
    landmark VARCHAR NOT NULL,
    landmark_index TINYINT NOT NULL,
    x FLOAT,
    y FLOAT,
    z FLOAT,
    visibility FLOAT,
    presence FLOAT,
    world_x_m FLOAT,
    world_y_m FLOAT,
    world_z_m FLOAT,
    sport VARCHAR NOT NULL
);

ALTER TABLE landmarks SET PARTITIONED BY (sport);
ALTER TABLE landmarks SET SORTED BY (landmark_index, video_id, person, frame);

COMMENT ON TABLE landmarks IS 'The 33 body landmarks of each person in each frame with a pose. Another pose model than BlazePose (--pose-onnx) gives fewer: the others have rows all the same, with NULL values.';
COMMENT ON COLUMN landmarks.video_id IS 'Video, see videos.video_id.';
COMMENT ON COLUMN landmarks.person IS 'Number of the person within the video, from 0.';
COMMENT ON COLUMN landmarks.frame IS 'Frame number within the video, from 0, in display order.';
COMMENT ON COLUMN landmarks.time_secs IS 'Presentation time of the frame in seconds from the first frame; real seconds where the video has a slow_motion_factor.';
COMMENT ON COLUMN landmarks.landmark IS 'Name of the landmark, such as left_wrist; left and right are the person''s.';
COMMENT ON COLUMN landmarks.landmark_index IS 'BlazePose index of the landmark, 0 to 32.';
COMMENT ON COLUMN landmarks.x IS 'Horizontal position as a fraction of the picture''s width, 0 at the left edge; may lie outside 0..1. Stored in steps of 2^-18. NULL where the pose model does not give the landmark.';
COMMENT ON COLUMN landmarks.y IS 'Vertical position as a fraction of the picture''s height, 0 at the top edge; may lie outside 0..1. Stored in steps of 2^-18. NULL as x.';
COMMENT ON COLUMN landmarks.z IS 'Depth as a fraction of the picture''s width, 0 near the hips, negative towards the camera. Stored in steps of 2^-16. NULL where the pose model gives no depth (--pose-onnx).';
COMMENT ON COLUMN landmarks.visibility IS 'Probability, 0..1, that the landmark is in the picture and not hidden; of a model with scores of its own (--pose-onnx) made of these, so that 0.5 is where a landmark counts as visible. Stored in steps of 2^-12. NULL as x.';
COMMENT ON COLUMN landmarks.presence IS 'Probability, 0..1, that the landmark lies inside the picture. Stored in steps of 2^-12. NULL where the pose model does not tell it (--pose-onnx).';
COMMENT ON COLUMN landmarks.world_x_m IS 'Metres to the right (in the picture) of the middle of the hips. Stored in steps of 2^-16. NULL where the pose model gives no metres (--pose-onnx).';
COMMENT ON COLUMN landmarks.world_y_m IS 'Metres below the middle of the hips. Stored in steps of 2^-16. NULL as world_x_m.';
COMMENT ON COLUMN landmarks.world_z_m IS 'Metres behind the middle of the hips, seen from the camera. Stored in steps of 2^-16. NULL as world_x_m.';
COMMENT ON COLUMN landmarks.sport IS 'Sport or activity, see videos.sport; partition of the files.';
