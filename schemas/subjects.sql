-- One row per video that says whom it shows.
CREATE TABLE subjects (
    video_id VARCHAR NOT NULL,
    subject VARCHAR NOT NULL
);

COMMENT ON TABLE subjects IS 'Who is filmed, as far as the user has told (`posedata tag`). Videos of the same subject are never divided between training and validation.';
COMMENT ON COLUMN subjects.video_id IS 'Video, see videos.video_id.';
COMMENT ON COLUMN subjects.subject IS 'Tag of the person or group filmed: any text, for example a pseudonym.';
