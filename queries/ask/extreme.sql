-- When is a joint angle at its largest or smallest, and how large is it then?
--
-- The first of the frames with that angle. A joint is bent most where its angle is smallest.
--
-- question words = needed, which
-- param joint angle : which angle
-- param which choice(smallest, largest)
-- param from_secs time = null : from when on
-- param to_secs time = null : until when
-- param video video : of which video
-- param person person = null : number of the person; the main person unless it is given
-- words : when, what|which time|moment|instant|point, where in, extreme*|most|furthest|farthest, at most
-- words : how far|much
-- words which=smallest : smallest|lowest|minimum|min|minimal|least|narrowest|tightest|bottom, how small|low
-- words which=smallest : at its least
-- words which=largest : largest|highest|biggest|maximum|max|maximal|greatest|widest|peak|top, how high .. angle
-- words which=largest : how large|big does|do|did, how large|big .. get*|become*
-- words which=smallest for knee, hip, ankle, elbow, wrist : bent|bend*|flex* .. most|furthest|farthest|deepest
-- words which=smallest for knee, hip, ankle, elbow, wrist : flex* .. peak|max|maximum|maximal
-- words which=largest for knee, hip, ankle, elbow, wrist : exten* .. peak|max|maximum|maximal
-- words which=smallest for knee, hip, ankle, elbow, wrist : most|maximally|fully|greatest|biggest|largest|highest|strongest|max*|peak .. bent|bend*|flex*
-- words which=smallest for knee, hip, ankle, elbow, wrist : deepest|sharpest|flexion|tightest, how deep*
-- words which=smallest for knee, hip, ankle, elbow, wrist : most closed|folded|acute
-- words which=smallest for knee, hip, ankle, elbow, wrist : how far|much .. bend|bends|flex|flexes
-- words which=smallest for knee, hip, ankle, elbow, wrist : least .. straight|exten*
-- words which=largest for knee, hip, ankle, elbow, wrist : straightest|extension, least .. bent|bend*|flex*
-- words which=largest for knee, hip, ankle, elbow, wrist : bent|bend*|flex* .. least
-- words which=largest for knee, hip, ankle, elbow, wrist : straight*|exten*|stretch*|open* .. most|furthest|farthest
-- words which=largest for knee, hip, ankle, elbow, wrist : most|maximally|fully|greatest|biggest|largest|highest|strongest|max*|peak .. straight*|exten*|stretch*|open*
-- words which=largest for knee, hip, ankle, elbow, wrist : how far|much .. straighten*|extend*
-- words which=largest for knee, hip, ankle, elbow, wrist : how straight .. get|gets|become*
-- words which=largest for shoulder : raise*|lift*|elevat* .. most|highest
-- words which=largest for shoulder : most|maximally|fully|greatest|biggest|largest|highest|strongest|max*|peak .. raise*|lift*|elevat*|flex*|abduct*
-- words which=largest for shoulder : overhead|flexion|abduction|elevation, furthest|farthest from
-- words which=largest for shoulder : how high|far .. raise*|lift*|arm
-- words which=smallest for shoulder : raise*|lift*|elevat* .. least|lowest, least .. raise*|lift*|elevat*
-- words which=smallest for shoulder : closest to
-- words which=smallest for shoulder : most|maximally|fully|greatest|biggest|largest|highest|strongest|max*|peak .. lower*|adduct*
-- words which=smallest for trunk, forward : straightest, most|fully upright|vertical
-- words which=smallest for trunk, forward : lean*|inclin*|tilt* .. least
-- words which=smallest for trunk, forward : least .. lean*|inclin*|tilt*
-- words which=largest for trunk, forward : lean*|inclin*|tilt* .. most|furthest|farthest
-- words which=largest for trunk, forward : most|maximally|fully|greatest|biggest|largest|highest|strongest|max*|peak .. lean*|inclin*|tilt*
-- words which=largest for trunk, forward : furthest forward, least upright
-- words not : fast*|speed*|velocit*|quick*|rapid*|slow*, mean|average*|avg
-- words which=smallest for ankle : most|maximally|fully|greatest|biggest|largest|highest|strongest|max*|peak .. dorsiflex*, dorsiflexion
-- words which=largest for ankle : most|maximally|fully|greatest|biggest|largest|highest|strongest|max*|peak .. plantarflex*, plantarflexion
-- words which=smallest for knee, hip, ankle, elbow, wrist : how bent|flexed .. get|gets|become*
WITH angle AS (
    SELECT frame, time_secs, deg::DOUBLE AS deg
    FROM (
        UNPIVOT (
            SELECT frame, time_secs, if(trunk_segment_deg < -90, -270, 90) - trunk_segment_deg AS forward_lean_deg, COLUMNS('_deg$')
            FROM metrics
            WHERE video_id = $video AND person = $person
        )
        ON COLUMNS('_deg$') INTO NAME name VALUE deg
    )
    WHERE name = $joint || '_deg'
        AND time_secs >= coalesce($from_secs::DOUBLE, '-infinity'::DOUBLE) - 1e-6
        AND time_secs <= coalesce($to_secs::DOUBLE, 'infinity'::DOUBLE) + 1e-6
)
SELECT
    if($which = 'smallest', min(deg), max(deg)) AS value_deg,
    if($which = 'smallest', arg_min(time_secs, (deg, frame)), arg_max(time_secs, (deg, -frame))) AS at_secs,
    min(time_secs) AS first_secs,
    max(time_secs) AS last_secs
FROM angle;
