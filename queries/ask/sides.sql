-- How do the left and the right side compare over a stretch of time?
--
-- The mean angle of each side over the frames in which both were measured, and the left minus the
-- right.
--
-- question words = needed
-- param part choice(knee, hip, ankle, elbow, shoulder, wrist) : which joint
-- param from_secs time = null : from when on
-- param to_secs time = null : until when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : symmetr*|asymmetr*|both|compar*|alike|same|equal*|difference*|differ*|imbalance*|sides|vs|versus|against|two|than|level|even|uneven|match*|unequal
-- words : one .. other, each other
-- words : left|right and|or|vs|versus right|left, left|right and|or the right|left, each side
-- words : which knee|hip|ankle|elbow|shoulder|wrist
-- words : both .. mov*|average, which knee|hip|ankle|elbow|shoulder|wrist .. average
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
    avg(left_deg) AS left_mean_deg,
    avg(right_deg) AS right_mean_deg,
    avg(left_deg) - avg(right_deg) AS difference_deg,
    nullif(count(*), 0) AS frame_count,
    min(time_secs) AS first_secs,
    max(time_secs) AS last_secs
FROM measured
WHERE left_deg IS NOT NULL AND right_deg IS NOT NULL
    AND time_secs >= coalesce($from_secs::DOUBLE, '-infinity'::DOUBLE) - 1e-6
    AND time_secs <= coalesce($to_secs::DOUBLE, 'infinity'::DOUBLE) + 1e-6;
