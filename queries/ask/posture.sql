-- How does the person stand at a time: all joint angles?
--
-- All angles in the frame nearest to the time; nothing outside the video and in a pause of the recording.
--
-- question words = needed
-- param at_secs time : when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : posture*|pose|poses|stance|stand*|position*|angles, all|every joint*|angle*, body look*
-- words not : fast*|speed*|velocit*|quick*|rapid*|slow*
SELECT
    left_knee_deg, right_knee_deg, left_hip_deg, right_hip_deg, left_ankle_deg, right_ankle_deg,
    left_elbow_deg, right_elbow_deg, left_shoulder_deg, right_shoulder_deg,
    left_wrist_deg, right_wrist_deg, trunk_lean_deg,
    time_secs AS at_secs,
    time_secs AS first_secs,
    time_secs AS last_secs
FROM metrics
WHERE video_id = $video AND person = $person
    AND coalesce(
        left_knee_deg, right_knee_deg, left_hip_deg, right_hip_deg, left_ankle_deg, right_ankle_deg,
        left_elbow_deg, right_elbow_deg, left_shoulder_deg, right_shoulder_deg,
        left_wrist_deg, right_wrist_deg, trunk_lean_deg
    ) IS NOT NULL
    AND frame = (
        SELECT arg_min(m.frame, (abs(m.time_secs - $at_secs::DOUBLE), m.frame))
        FROM metrics AS m
        JOIN videos AS v ON v.video_id = m.video_id
        WHERE m.video_id = $video
        HAVING $at_secs::DOUBLE BETWEEN min(m.time_secs) - 1e-6 AND min(m.time_secs) + max(v.duration_secs) + 1e-6
            AND min(abs(m.time_secs - $at_secs::DOUBLE)) <= greatest(2.5 / max(v.fps), 0.05)
    );
