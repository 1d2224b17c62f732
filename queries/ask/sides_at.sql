-- How do the left and the right side compare at a time?
--
-- The angles of both sides in the frame nearest to the time, and the left minus the right; nothing
-- outside the video and in a pause of the recording.
--
-- question words = needed
-- param part choice(knee, hip, ankle, elbow, shoulder, wrist) : which joint
-- param at_secs time : when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : symmetr*|asymmetr*|both|compar*|alike|same|equal*|difference*|differ*|imbalance*|sides|vs|versus|against|two|than|level|even|uneven|match*|unequal
-- words : one .. other, each other
-- words : left|right and|or|vs|versus right|left, left|right and|or the right|left, each side
-- words : which knee|hip|ankle|elbow|shoulder|wrist
-- words not : fast*|speed*|velocit*|quick*|rapid*|slow*
-- words not : max|maximum|min|minimum|largest|smallest|highest|lowest|range*|rom|peak
WITH measured AS (
    SELECT
        frame,
        time_secs,
        list_position(['knee', 'hip', 'ankle', 'elbow', 'shoulder', 'wrist'], $part) AS place,
        [left_knee_deg, left_hip_deg, left_ankle_deg, left_elbow_deg, left_shoulder_deg, left_wrist_deg][place]::DOUBLE AS left_deg,
        [right_knee_deg, right_hip_deg, right_ankle_deg, right_elbow_deg, right_shoulder_deg, right_wrist_deg][place]::DOUBLE AS right_deg
    FROM metrics
    WHERE video_id = $video AND person = $person
)
SELECT
    left_deg,
    right_deg,
    left_deg - right_deg AS difference_deg,
    time_secs AS at_secs,
    time_secs AS first_secs,
    time_secs AS last_secs
FROM measured
WHERE frame = (
        SELECT arg_min(m.frame, (abs(m.time_secs - $at_secs::DOUBLE), m.frame))
        FROM metrics AS m
        JOIN videos AS v ON v.video_id = m.video_id
        WHERE m.video_id = $video
        HAVING $at_secs::DOUBLE BETWEEN min(m.time_secs) - 1e-6 AND min(m.time_secs) + max(v.duration_secs) + 1e-6
            AND min(abs(m.time_secs - $at_secs::DOUBLE)) <= greatest(2.5 / max(v.fps), 0.05)
    )
    AND left_deg IS NOT NULL AND right_deg IS NOT NULL;
