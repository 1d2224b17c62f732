-- Moments of a movement (`posedata events detect`, `posedata metrics recompute`): one row per video,
-- person and event, sorted by person and time.
CREATE TABLE events (
    video_id VARCHAR NOT NULL,
    person SMALLINT NOT NULL,
    frame INTEGER NOT NULL,
    time_secs DOUBLE NOT NULL,
    event VARCHAR NOT NULL,
    side VARCHAR,
    method VARCHAR NOT NULL,
    confidence DOUBLE,
    value DOUBLE,
    unit VARCHAR,
    sport VARCHAR NOT NULL
);

ALTER TABLE events SET PARTITIONED BY (sport);

COMMENT ON TABLE events IS 'Contacts and toe-offs of feet, jumps, turning points of repetitions, from filtered landmarks. Written by posedata events detect and posedata metrics recompute. What the view does not carry has no row: contacts of feet are told in side view only.';
COMMENT ON COLUMN events.video_id IS 'Video, see videos.video_id.';
COMMENT ON COLUMN events.person IS 'Number of the person within the video, from 0.';
COMMENT ON COLUMN events.frame IS 'Frame whose time is nearest to time_secs.';
COMMENT ON COLUMN events.time_secs IS 'Time in seconds from the video''s first frame, interpolated between frames; real seconds where the video has a slow_motion_factor.';
COMMENT ON COLUMN events.event IS 'initial_contact, toe_off (walking, running); take_off, landing (jumps); rep_lowest, rep_highest (the turn of a repetition, and the angle between two: smallest and largest, or the other way round where it rests at a small angle).';
COMMENT ON COLUMN events.side IS 'left or right, the person''s; NULL where both feet do it together.';
COMMENT ON COLUMN events.method IS 'zeni, oconnor, forward_velocity, milner_fellin (contacts and toe-offs); flight_parabola (jumps); for repetitions the angle''s column in metrics. docs/movement.md has the sources.';
COMMENT ON COLUMN events.confidence IS '0..1: part of the frames within 0.1 s in which the landmarks were measured, times what else the method can say; docs/movement.md.';
COMMENT ON COLUMN events.value IS 'What belongs to the moment, in unit: seconds of flight for take_off, metres of height by the flight time for landing, the angle for repetitions; NULL for contacts and toe-offs, and for jumps whose flight_secs in cycles is NULL.';
COMMENT ON COLUMN events.unit IS 's, m or deg; NULL without a value.';
COMMENT ON COLUMN events.sport IS 'Sport or activity, see videos.sport; partition of the files.';
