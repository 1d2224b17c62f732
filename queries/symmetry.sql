-- Do the left and the right side move alike?
--
-- Per video, person and joint: mean angle of each side, their difference, and the symmetry index
-- 100 * (left - right) / (0.5 * (left + right)) in percent (Robinson, Herzog, Nigg 1987): 0 =
-- alike, positive = the left angle is larger. Only frames in which both sides are visible count.
--
-- param video text = % : file name of the video, with SQL wildcards
WITH sides AS (
    SELECT
        video_id,
        person,
        unnest(['knee', 'hip', 'ankle', 'elbow', 'shoulder', 'wrist']) AS joint,
        unnest([left_knee_deg, left_hip_deg, left_ankle_deg, left_elbow_deg, left_shoulder_deg, left_wrist_deg]) AS left_deg,
        unnest([right_knee_deg, right_hip_deg, right_ankle_deg, right_elbow_deg, right_shoulder_deg, right_wrist_deg]) AS right_deg
    FROM metrics
)
SELECT
    v.file_name,
    s.person,
    s.joint,
    count(*) AS frames,
    round(avg(s.left_deg), 1) AS left_mean_deg,
    round(avg(s.right_deg), 1) AS right_mean_deg,
    round(avg(s.left_deg) - avg(s.right_deg), 1) AS difference_deg,
    round(100 * (avg(s.left_deg) - avg(s.right_deg)) / nullif(0.5 * (avg(s.left_deg) + avg(s.right_deg)), 0), 1)
        AS symmetry_index_percent
FROM sides AS s
JOIN videos AS v ON v.video_id = s.video_id
WHERE s.left_deg IS NOT NULL AND s.right_deg IS NOT NULL AND v.file_name LIKE $video
GROUP BY v.file_name, s.video_id, s.person, s.joint
ORDER BY v.file_name, s.video_id, s.person, abs(difference_deg) DESC, s.joint;
