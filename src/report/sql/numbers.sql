WITH quantities (place, kinds, quantity, label, unit, decimals, meaning) AS (
    VALUES
    (1, ['walk', 'run'], 'cadence', 'Cadence', 'steps/min', 1, 'Steps of both feet in a minute: 120 by the mean stride time.'),
    (2, ['walk', 'run'], 'stride_secs', 'Stride time', 's', 2, 'From a foot''s contact to its next one.'),
    (3, ['walk', 'run'], 'step_secs', 'Step time', 's', 2, 'From the other foot''s contact to this foot''s.'),
    (4, ['walk', 'run'], 'stance_percent', 'Stance', '% of stride', 1, 'The foot is on the ground. About 60 % in walking, below 50 % in running.'),
    (5, ['walk', 'run'], 'swing_percent', 'Swing', '% of stride', 1, 'The foot is in the air.'),
    (6, ['walk'], 'double_support_percent', 'Double support', '% of stride', 1, 'Both feet are on the ground.'),
    (7, ['run'], 'flight_percent', 'Flight', '% of stride', 1, 'No foot is on the ground.'),
    (8, ['walk', 'run'], 'stride_length_m', 'Stride length', 'm', 2, 'Way of the hips across the picture in a stride.'),
    (9, ['walk', 'run'], 'speed_m_per_sec', 'Speed', 'm/s', 2, 'Stride length by stride time.'),
    (10, ['jump'], 'flight_secs', 'Flight time', 's', 3, 'From take-off to landing; of jumps whose feet were seen well enough for it.'),
    (11, ['jump'], 'height_flight_cm', 'Height by flight time', 'cm', 1, 'g t² / 8: right for who lands as they took off.'),
    (12, ['jump'], 'height_error_cm', 'Uncertainty of that height', 'cm', 1, 'Standard uncertainty of one jump: a frame''s time at each contact, and more where feet are seen badly or fly otherwise than the hips. Smaller differences say nothing.'),
    (13, ['jump'], 'height_hips_cm', 'Height by the hips', 'cm', 1, 'Way of the hips from take-off to their highest point: no surer than the height by flight time, as it begins at the same take-off.'),
    (14, ['repetition'], 'depth_deg', 'Depth', 'deg', 1, 'Largest minus smallest angle.'),
    (15, ['repetition'], 'lowest_deg', 'Smallest angle', 'deg', 1, 'How far the joint bends; 180 is straight.'),
    (16, ['repetition'], 'duration_secs', 'Duration', 's', 2, 'Of a repetition, without the pause at rest.'),
    (17, ['repetition'], 'lowering_secs', 'Time down', 's', 2, 'While the angle gets smaller.'),
    (18, ['repetition'], 'hold_secs', 'Hold', 's', 2, 'Around the turn: near the smallest angle, or the largest for who rests at a small one.'),
    (19, ['repetition'], 'raising_secs', 'Time up', 's', 2, 'While the angle gets larger.')
),
numbers AS (
    UNPIVOT (
        SELECT
            r.group_number,
            c.kind,
            coalesce(c.side, 'both') AS side,
            if(c.kind = 'repetition', c.method, NULL) AS angle,
            120 / (c.end_secs - c.start_secs) AS cadence,
            c.end_secs - c.start_secs AS stride_secs,
            c.end_secs - c.start_secs AS duration_secs,
            c.step_secs,
            100 * c.stance_secs / (c.end_secs - c.start_secs) AS stance_percent,
            100 * c.swing_secs / (c.end_secs - c.start_secs) AS swing_percent,
            100 * c.double_support_secs / (c.end_secs - c.start_secs) AS double_support_percent,
            100 * c.flight_secs / (c.end_secs - c.start_secs) AS flight_percent,
            c.stride_length_m,
            c.speed_m_per_sec,
            c.flight_secs,
            100 * c.height_flight_m AS height_flight_cm,
            100 * 9.80665 * c.flight_secs / 4 * c.flight_error_secs AS height_error_cm,
            100 * c.height_hips_m AS height_hips_cm,
            c.highest_deg - c.lowest_deg AS depth_deg,
            c.lowest_deg,
            c.lowering_secs,
            c.hold_secs,
            c.raising_secs
        FROM report_videos AS r
        JOIN cycles AS c ON c.video_id = r.video_id AND c.person = r.person
    )
    ON COLUMNS(* EXCLUDE (group_number, kind, side, angle))
    INTO NAME quantity VALUE value
),
by_group AS (
    SELECT
        q.place, n.kind, n.angle, q.label, q.unit, q.decimals, q.meaning, n.side,
        count(*) FILTER (n.group_number = 1) AS n1,
        if(
            any_value(q.quantity) = 'cadence',
            1 / avg(1 / n.value) FILTER (n.group_number = 1),
            avg(n.value) FILTER (n.group_number = 1)
        ) AS mean1,
        stddev_samp(n.value) FILTER (n.group_number = 1) AS sd1,
        count(*) FILTER (n.group_number = 2) AS n2,
        if(
            any_value(q.quantity) = 'cadence',
            1 / avg(1 / n.value) FILTER (n.group_number = 2),
            avg(n.value) FILTER (n.group_number = 2)
        ) AS mean2,
        stddev_samp(n.value) FILTER (n.group_number = 2) AS sd2
    FROM numbers AS n
    JOIN quantities AS q ON q.quantity = n.quantity AND list_contains(q.kinds, n.kind)
    GROUP BY ALL
)
SELECT
    kind,
    angle,
    label || ' (' || unit || ')' AS quantity,
    side,
    n1,
    round(mean1, decimals) AS mean1,
    round(sd1, decimals) AS sd1,
    n2,
    round(mean2, decimals) AS mean2,
    round(sd2, decimals) AS sd2,
    round(mean2 - mean1, decimals) AS difference,
    round(100 * (mean2 - mean1) / nullif(mean1, 0), 1) AS difference_percent,
    decimals,
    meaning
FROM by_group
ORDER BY kind, angle, place, side
