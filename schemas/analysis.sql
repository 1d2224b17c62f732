-- What custom models make of the landmarks (`posedata analyze`, `posedata ingest
-- --analysis-model`): one row per video, person, frame, model, output and value of the output.
CREATE TABLE analysis (
    video_id VARCHAR NOT NULL,
    person SMALLINT NOT NULL,
    frame INTEGER NOT NULL,
    time_secs DOUBLE NOT NULL,
    model_sha256 VARCHAR NOT NULL,
    window_frames INTEGER NOT NULL,
    output VARCHAR NOT NULL,
    output_index INTEGER NOT NULL,
    value DOUBLE,
    sport VARCHAR NOT NULL
);

ALTER TABLE analysis SET PARTITIONED BY (sport);

COMMENT ON TABLE analysis IS 'Outputs of custom models (ONNX) that were run over landmarks: x, y, z and visibility of the 33 landmarks of one frame, or of a window of frames.';
COMMENT ON COLUMN analysis.video_id IS 'Video, see videos.video_id.';
COMMENT ON COLUMN analysis.person IS 'Number of the person within the video, from 0.';
COMMENT ON COLUMN analysis.frame IS 'Frame number within the video, from 0, in display order; of a window, its last frame.';
COMMENT ON COLUMN analysis.time_secs IS 'Presentation time of the frame in seconds from the first frame; real seconds where the video has a slow_motion_factor.';
COMMENT ON COLUMN analysis.model_sha256 IS 'SHA-256 of the model''s file; tells the rows of several models apart.';
COMMENT ON COLUMN analysis.window_frames IS 'Frames that the value was computed from: this one and those directly before it; 1 for models of single frames.';
COMMENT ON COLUMN analysis.output IS 'Name of the model''s output.';
COMMENT ON COLUMN analysis.output_index IS 'Position of the value within the output of one frame or window, flattened in row-major order, from 0.';
COMMENT ON COLUMN analysis.value IS 'The value, in whatever unit the model gives it; NULL where the model gave NaN.';
COMMENT ON COLUMN analysis.sport IS 'Sport or activity, see videos.sport; partition of the files.';
