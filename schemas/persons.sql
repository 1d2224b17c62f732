-- One row per video and person.
CREATE TABLE persons (
    video_id VARCHAR NOT NULL,
    person SMALLINT NOT NULL,
    is_main BOOLEAN NOT NULL,
    first_frame INTEGER NOT NULL,
    last_frame INTEGER NOT NULL,
    frame_count INTEGER NOT NULL,
    first_time_secs DOUBLE NOT NULL,
    last_time_secs DOUBLE NOT NULL,
    mean_probability DOUBLE NOT NULL,
    mean_visibility DOUBLE NOT NULL,
    mean_center_x DOUBLE NOT NULL,
    mean_center_y DOUBLE NOT NULL,
    mean_width DOUBLE NOT NULL,
    mean_height DOUBLE NOT NULL,
    sport VARCHAR NOT NULL
);

COMMENT ON TABLE persons IS 'Who is seen in each video, when, where and how large. Means are over the frames in which the person is seen.';
COMMENT ON COLUMN persons.video_id IS 'Video, see videos.video_id.';
COMMENT ON COLUMN persons.person IS 'Number of the person within the video, from 0, in the order of appearance; from left to right within a frame.';
COMMENT ON COLUMN persons.is_main IS 'Whether this is the main person, see videos.main_person.';
COMMENT ON COLUMN persons.first_frame IS 'First frame in which the person is seen.';
COMMENT ON COLUMN persons.last_frame IS 'Last frame in which the person is seen.';
COMMENT ON COLUMN persons.frame_count IS 'Frames in which the person is seen; fewer than last_frame - first_frame + 1 where the person was lost and found again.';
COMMENT ON COLUMN persons.first_time_secs IS 'Presentation time of first_frame in seconds from the video''s first frame; real seconds where the video has a slow_motion_factor.';
COMMENT ON COLUMN persons.last_time_secs IS 'Presentation time of last_frame in seconds from the video''s first frame; real seconds where the video has a slow_motion_factor.';
COMMENT ON COLUMN persons.mean_probability IS 'Mean probability, 0..1, that the tracked region shows a person.';
COMMENT ON COLUMN persons.mean_visibility IS 'Mean visibility of the landmarks that the pose model gives (BlazePose: all 33), 0..1.';
COMMENT ON COLUMN persons.mean_center_x IS 'Mean horizontal position of the middle of the hips as a fraction of the picture''s width, 0 at the left edge.';
COMMENT ON COLUMN persons.mean_center_y IS 'Mean vertical position of the middle of the hips as a fraction of the picture''s height, 0 at the top edge.';
COMMENT ON COLUMN persons.mean_width IS 'Mean width of the box around the 33 landmarks as a fraction of the picture''s width.';
COMMENT ON COLUMN persons.mean_height IS 'Mean height of the box around the 33 landmarks as a fraction of the picture''s height.';
COMMENT ON COLUMN persons.sport IS 'Sport or activity, see videos.sport.';
