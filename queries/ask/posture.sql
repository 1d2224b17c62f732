-- How does the person stand at a time: all joint angles?
--
-- All angles in the frame nearest to the time.
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
        SELECT arg_min(frame, (abs(time_secs - $at_secs::DOUBLE), frame)) FROM metrics
        WHERE video_id = $video
            AND $at_secs::DOUBLE <= (SELECT duration_secs FROM videos WHERE video_id = $video)
    );
