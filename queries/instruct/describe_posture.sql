-- Describe the posture in one frame: trunk, knees, elbows and arms.
--
-- Each word for an angle is that of the parameters below. The shoulder angle is the one between
-- upper arm and trunk, so that an arm at the side has a small one.
--
-- recipe weight = 1
-- recipe window = frame
-- recipe answer = text
-- param upright_deg integer = 10 : a trunk that leans less is upright, in degrees
-- param strong_lean_deg integer = 30 : a trunk that leans at least this far leans strongly, in degrees
-- param straight_deg integer = 165 : a knee or elbow with at least this angle is straight, in degrees
-- param slightly_bent_deg integer = 140 : with at least this angle it is slightly bent, in degrees
-- param bent_deg integer = 100 : with at least this angle it is bent, below it strongly bent, in degrees
-- param hanging_deg integer = 30 : an arm below this angle is close to the trunk, in degrees
-- param level_deg integer = 75 : from this angle an arm is at about a right angle to the trunk, in degrees
-- param high_deg integer = 105 : from this angle an arm is raised beyond that, in degrees
WITH shown AS (
    SELECT
        w.window_id,
        w.video_id,
        w.person,
        w.frame_start,
        w.frame_end,
        round(m.time_secs, 2) AS time_secs,
        round(m.trunk_lean_deg::DOUBLE) AS trunk_lean_deg,
        [
            {joint: 'knee', left_deg: round(m.left_knee_deg::DOUBLE), right_deg: round(m.right_knee_deg::DOUBLE)},
            {joint: 'elbow', left_deg: round(m.left_elbow_deg::DOUBLE), right_deg: round(m.right_elbow_deg::DOUBLE)},
            {joint: 'shoulder', left_deg: round(m.left_shoulder_deg::DOUBLE), right_deg: round(m.right_shoulder_deg::DOUBLE)}
        ] AS joints
    FROM windows AS w
    JOIN metrics AS m ON m.video_id = w.video_id AND m.person = w.person AND m.frame = w.frame_start
    WHERE m.trunk_lean_deg IS NOT NULL
)
SELECT
    video_id,
    person,
    frame_start,
    frame_end,
    time_secs,
    trunk_lean_deg,
    joints,
    CASE
        WHEN trunk_lean_deg < $upright_deg THEN 'is upright'
        WHEN trunk_lean_deg < $strong_lean_deg THEN 'leans'
        ELSE 'leans strongly'
    END AS trunk_course,
    list_transform(joints[:2], lambda j: {
        joint: j.joint,
        left_word: CASE
            WHEN j.left_deg >= $straight_deg THEN 'straight'
            WHEN j.left_deg >= $slightly_bent_deg THEN 'slightly bent'
            WHEN j.left_deg >= $bent_deg THEN 'bent'
            WHEN j.left_deg IS NOT NULL THEN 'strongly bent'
        END,
        right_word: CASE
            WHEN j.right_deg >= $straight_deg THEN 'straight'
            WHEN j.right_deg >= $slightly_bent_deg THEN 'slightly bent'
            WHEN j.right_deg >= $bent_deg THEN 'bent'
            WHEN j.right_deg IS NOT NULL THEN 'strongly bent'
        END,
        left_deg: j.left_deg,
        right_deg: j.right_deg
    }) AS bends,
    [
        {
            side: s.side,
            angle_deg: s.angle_deg,
            word: CASE
                WHEN s.angle_deg < $hanging_deg THEN 'close to the trunk'
                WHEN s.angle_deg < $level_deg THEN 'lifted away from the trunk'
                WHEN s.angle_deg < $high_deg THEN 'at about a right angle to the trunk'
                WHEN s.angle_deg IS NOT NULL THEN 'raised beyond a right angle to the trunk'
            END
        }
        FOR s IN [{side: 'left', angle_deg: joints[3].left_deg}, {side: 'right', angle_deg: joints[3].right_deg}]
    ] AS arms
FROM shown
ORDER BY window_id;
