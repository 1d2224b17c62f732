-- How high are the jumps?
--
-- One row per jump: flight time, the height that follows from it (g t^2 / 8, right where somebody
-- lands as they took off), and the way of the hips where a scale is known (--height-m).
-- uncertain_by_cm is the standard uncertainty of the height by flight, of which a frame's time at each
-- contact is most; NULL for jumps that an older version found. A flight of which half or more is
-- uncertain has no time and no heights; not_told then says by how many seconds, and why.
--
-- param video text = % : file name of the video, with SQL wildcards
SELECT
    v.file_name,
    c.person,
    row_number() OVER (PARTITION BY c.video_id, c.person ORDER BY c.start_secs) AS jump,
    c.start_frame AS take_off_frame,
    round(c.start_secs, 3) AS take_off_secs,
    round(c.end_secs, 3) AS landing_secs,
    round(c.flight_secs, 3) AS flight_secs,
    round(100 * c.height_flight_m, 1) AS height_by_flight_cm,
    round(100 * 9.80665 * c.flight_secs / 4 * c.flight_error_secs, 1) AS uncertain_by_cm,
    round(100 * c.height_hips_m, 1) AS height_by_hips_cm,
    round(c.confidence, 2) AS confidence,
    if(
        c.flight_secs IS NULL,
        format(
            'take-off and landing uncertain by {:.2f} s: feet hidden, just found, or too few frames',
            c.flight_error_secs
        ),
        NULL
    ) AS not_told
FROM cycles AS c
JOIN videos AS v ON v.video_id = c.video_id
WHERE c.kind = 'jump' AND v.file_name LIKE $video
ORDER BY v.file_name, c.video_id, c.person, c.start_secs;
