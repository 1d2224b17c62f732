-- Admit that pose data does not tell of forces, feelings, names or the future.
--
-- recipe weight = 1
-- recipe window = 0.5 s, 1 s, 2 s
-- recipe rows = 4
-- recipe answer = text
WITH asked AS (
    SELECT
        *,
        ['knee', 'hip', 'elbow', 'shoulder'][1 + (pick % 4)::INTEGER] AS joint,
        [
            {topic: 'the force on the ground', question: 'How hard do the feet press on the ground?'},
            {topic: 'the load on the joints', question: 'How large is the load on the knee joint?'},
            {topic: 'the strength of the muscles', question: 'How strong are the thigh muscles?'},
            {topic: 'pain', question: 'Does the movement hurt the person?'},
            {topic: 'injuries', question: 'Does the person have an injured ligament?'},
            {topic: 'tiredness', question: 'How tired is the person?'},
            {topic: 'the person''s name', question: 'Who is the person?'},
            {topic: 'the person''s age', question: 'How old is the person?'},
            {topic: 'the person''s weight', question: 'How many kilograms does the person weigh?'},
            {topic: 'the heart rate', question: 'How fast does the heart beat?'},
            {topic: 'the calories used', question: 'How many calories does the person use here?'},
            {topic: 'the mood of the person', question: 'Is the person in a good mood?'},
            {topic: 'the place', question: 'Where was the video taken?'},
            {topic: 'the clothes', question: 'What is the person wearing?'},
            {topic: 'the shoes', question: 'Which shoes does the person wear?'},
            {topic: 'what happens later', question: 'What will the person do next?'},
            {topic: 'the result of a race', question: 'Will the person win the race?'},
            {topic: 'the reason for the movement', question: 'Why does the person move like that?'}
        ][1 + ((pick // 4) % 18)::INTEGER] AS subject
    FROM windows
),
shown AS (
    SELECT
        a.window_id,
        m.frame,
        round(m.time_secs, 2) AS time_secs,
        round((CASE a.joint
            WHEN 'knee' THEN m.left_knee_deg
            WHEN 'hip' THEN m.left_hip_deg
            WHEN 'elbow' THEN m.left_elbow_deg
            ELSE m.left_shoulder_deg
        END)::DOUBLE) AS left_deg,
        round((CASE a.joint
            WHEN 'knee' THEN m.right_knee_deg
            WHEN 'hip' THEN m.right_hip_deg
            WHEN 'elbow' THEN m.right_elbow_deg
            ELSE m.right_shoulder_deg
        END)::DOUBLE) AS right_deg
    FROM (SELECT *, unnest(range(frame_start, frame_end + 1, step)) AS frame FROM asked) AS a
    JOIN metrics AS m ON m.video_id = a.video_id AND m.person = a.person AND m.frame = a.frame
),
tables AS (
    SELECT
        window_id,
        list({time_secs: time_secs, cells: [left_deg, right_deg]} ORDER BY frame) AS rows
    FROM shown
    GROUP BY window_id
    HAVING count(*) >= 3 AND count(left_deg) + count(right_deg) > 0
        AND count(DISTINCT time_secs) = count(*)
)
SELECT
    a.video_id,
    a.person,
    a.frame_start,
    a.frame_end,
    a.joint,
    ['left_' || a.joint || '_deg', 'right_' || a.joint || '_deg'] AS columns,
    t.rows,
    (a.subject).topic AS topic,
    (a.subject).question AS question
FROM asked AS a
JOIN tables AS t ON t.window_id = a.window_id
ORDER BY a.window_id;
