-- Landmarks beside the metrics of their frame; a frame without a pose has one row with NULL landmarks.
CREATE VIEW frames AS
SELECT
    m.*,
    l.landmark,
    l.landmark_index,
    l.x,
    l.y,
    l.z,
    l.visibility,
    l.presence,
    l.world_x_m,
    l.world_y_m,
    l.world_z_m
FROM metrics AS m
LEFT JOIN landmarks AS l
    ON l.video_id = m.video_id AND l.person = m.person AND l.frame = m.frame AND l.sport = m.sport;

COMMENT ON VIEW frames IS 'metrics joined with landmarks: one row per video, person, frame and landmark.';
