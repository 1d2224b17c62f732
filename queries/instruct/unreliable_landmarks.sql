-- Name the landmarks that cannot be relied on in a window.
--
-- Mean visibility of eight of the twelve landmarks of arms and legs over the shown frames; below
-- the limit a landmark is more likely hidden or out of the picture than seen. Of windows in which
-- all of them can be relied on only some are taken, or they would drown the others.
--
-- recipe weight = 1
-- recipe window = 0.5 s, 1 s
-- recipe rows = 4
-- recipe answer = list
-- param reliable_visibility number = 0.5 : a landmark that is less visible is unreliable, 0 to 1
-- param whole_share integer = 4 : one in so many windows without an unreliable landmark is taken
WITH frames_shown AS (
    SELECT
        window_id,
        video_id,
        person,
        unnest(range(frame_start, frame_end + 1, step)) AS frame,
        -- Two of the six pairs of left and right are left out.
        (pick % 6)::INTEGER AS hidden_pair,
        ((pick + 1 + (pick // 6) % 5) % 6)::INTEGER AS other_hidden_pair
    FROM windows
),
limbs AS (
    SELECT
        video_id,
        person,
        frame,
        landmark_index,
        visibility,
        -- 11 to 16 are shoulders, elbows, wrists; 23 to 28 hips, knees, ankles; left before right.
        (landmark_index - if(landmark_index < 23, 11, 17)) // 2 AS pair
    FROM landmarks
    WHERE (landmark_index BETWEEN 11 AND 16 OR landmark_index BETWEEN 23 AND 28)
        -- Other pose models may not give all of them.
        AND visibility IS NOT NULL
),
means AS (
    SELECT
        f.window_id,
        l.landmark_index,
        if(l.landmark_index % 2 = 1, 'left_', 'right_')
            || ['shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle'][any_value(l.pair) + 1] AS landmark,
        round(avg(l.visibility), 2) AS visibility
    FROM frames_shown AS f
    JOIN limbs AS l ON l.video_id = f.video_id AND l.person = f.person AND l.frame = f.frame
    WHERE l.pair NOT IN (f.hidden_pair, f.other_hidden_pair)
    GROUP BY f.window_id, l.landmark_index
),
tables AS (
    SELECT
        window_id,
        list({landmark: landmark, visibility: visibility} ORDER BY landmark_index) AS rows,
        list({landmark: replace(landmark, '_', ' '), visibility: visibility} ORDER BY landmark_index)
            FILTER (visibility < $reliable_visibility) AS unreliable,
        arg_min(replace(landmark, '_', ' '), (visibility, landmark_index)) AS weakest,
        min(visibility) AS weakest_visibility
    FROM means
    GROUP BY window_id
)
SELECT
    w.video_id,
    w.person,
    w.frame_start,
    w.frame_end,
    t.rows,
    coalesce(t.unreliable, []) AS unreliable,
    t.weakest,
    t.weakest_visibility
FROM windows AS w
JOIN tables AS t ON t.window_id = w.window_id
WHERE t.unreliable IS NOT NULL OR (w.pick // 30) % $whole_share = 0
ORDER BY w.window_id;
