-- Stretches of a movement that repeat (`posedata events detect`, `posedata metrics recompute`): one
-- row per video, person and stride, jump or repetition, sorted by person and time.
CREATE TABLE cycles (
    video_id VARCHAR NOT NULL,
    person SMALLINT NOT NULL,
    cycle INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    side VARCHAR,
    method VARCHAR NOT NULL,
    start_frame INTEGER NOT NULL,
    end_frame INTEGER NOT NULL,
    start_secs DOUBLE NOT NULL,
    end_secs DOUBLE NOT NULL,
    confidence DOUBLE,
    step_secs DOUBLE,
    stance_secs DOUBLE,
    swing_secs DOUBLE,
    double_support_secs DOUBLE,
    flight_secs DOUBLE,
    flight_error_secs DOUBLE,
    stride_length_m DOUBLE,
    speed_m_per_sec DOUBLE,
    height_flight_m DOUBLE,
    height_hips_m DOUBLE,
    lowest_deg DOUBLE,
    highest_deg DOUBLE,
    lowering_secs DOUBLE,
    hold_secs DOUBLE,
    raising_secs DOUBLE,
    floor_angle_deg DOUBLE,
    sport VARCHAR NOT NULL
);

ALTER TABLE cycles SET PARTITIONED BY (sport);

COMMENT ON TABLE cycles IS 'Strides from contact to contact of a foot, jumps from take-off to landing, repetitions of an angle from rest to its turn and back. Written by posedata events detect and posedata metrics recompute; NULL, never 0, where it cannot be told.';
COMMENT ON COLUMN cycles.video_id IS 'Video, see videos.video_id.';
COMMENT ON COLUMN cycles.person IS 'Number of the person within the video, from 0.';
COMMENT ON COLUMN cycles.cycle IS 'Number of the cycle within the video and person, from 0, by start_secs.';
COMMENT ON COLUMN cycles.kind IS 'walk or run (strides), jump, repetition.';
COMMENT ON COLUMN cycles.side IS 'left or right: the foot of a stride, the side of a repetition''s angle; NULL for jumps.';
COMMENT ON COLUMN cycles.method IS 'How its events were found, see events.method; for repetitions the angle''s column in metrics.';
COMMENT ON COLUMN cycles.start_frame IS 'Frame nearest to start_secs.';
COMMENT ON COLUMN cycles.end_frame IS 'Frame nearest to end_secs.';
COMMENT ON COLUMN cycles.start_secs IS 'Beginning, seconds from the video''s first frame, interpolated between frames: contact, take-off, or where the angle has gone a tenth of the depth away from its value at rest.';
COMMENT ON COLUMN cycles.end_secs IS 'End, likewise: the same foot''s next contact, landing, or where the angle is as near to its value at rest again.';
COMMENT ON COLUMN cycles.confidence IS 'Smallest confidence of the events at both ends, 0..1.';
COMMENT ON COLUMN cycles.step_secs IS 'Stride: time from the other foot''s contact to this foot''s contact at the end, seconds.';
COMMENT ON COLUMN cycles.stance_secs IS 'Stride: time of the foot on the ground, seconds.';
COMMENT ON COLUMN cycles.swing_secs IS 'Stride: time of the foot off the ground, seconds.';
COMMENT ON COLUMN cycles.double_support_secs IS 'Stride of walking: time with both feet on the ground, seconds, both times within the stride together.';
COMMENT ON COLUMN cycles.flight_secs IS 'Time without a foot on the ground, seconds: of a jump, or of both flights within a stride of running; NULL for a jump of which half of it or more is uncertain (flight_error_secs), as feet were hidden or just found.';
COMMENT ON COLUMN cycles.flight_error_secs IS 'Jump: standard uncertainty of the time from take-off to landing, seconds: a frame''s time for each contact (and the rest of the 0.3 s after the person was found), by confidence, and how well the feet''s way fits; that of height_flight_m is g flight_secs / 4 times it. NULL in rows from before there was this column.';
COMMENT ON COLUMN cycles.stride_length_m IS 'Stride: way of the hips across the picture, metres; NULL where the person has no scale (--height-m), on a treadmill, where the camera follows, and where the person is a tenth larger or smaller in the picture than usual, or gets so in the stride, as they are nearer or farther.';
COMMENT ON COLUMN cycles.speed_m_per_sec IS 'stride_length_m by the stride''s time.';
COMMENT ON COLUMN cycles.height_flight_m IS 'Jump: height by the flight time, g t^2 / 8 with g = 9.80665 m/s^2, metres; NULL where flight_secs is.';
COMMENT ON COLUMN cycles.height_hips_m IS 'Jump: way of the hips from take-off to their highest point, metres; NULL where the person has no scale (--height-m), or flight_secs is NULL.';
COMMENT ON COLUMN cycles.lowest_deg IS 'Repetition: smallest angle, degrees; of one that rests at a small angle, the larger one of the smallest before and behind.';
COMMENT ON COLUMN cycles.highest_deg IS 'Repetition: largest angle, degrees; of one that rests at a large angle, the smaller one of the largest before and behind. depth = highest_deg - lowest_deg.';
COMMENT ON COLUMN cycles.lowering_secs IS 'Repetition: time in which the angle gets smaller, but for what is held, seconds; the first part of one that rests at a large angle, the last part of one that rests at a small one.';
COMMENT ON COLUMN cycles.hold_secs IS 'Repetition: time within a tenth of the depth of its turn, seconds: of the smallest angle, or of the largest where it rests at a small one.';
COMMENT ON COLUMN cycles.raising_secs IS 'Repetition: time in which the angle gets larger, but for what is held, seconds.';
COMMENT ON COLUMN cycles.floor_angle_deg IS 'How the floor slopes in the picture, degrees anticlockwise from its horizontal, as it was taken into account; NULL where it was taken for level.';
COMMENT ON COLUMN cycles.sport IS 'Sport or activity, see videos.sport; partition of the files.';
