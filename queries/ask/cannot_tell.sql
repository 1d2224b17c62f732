-- What the lake cannot tell, and why.
--
-- What is asked for here is not measured, or is no question about motion; `reason` says so to whoever asked.
--
-- question weight = 2
-- param topic choice(forces, metres, health, advice, identity, future, appearance, unclear, other) : what it is about
SELECT reason
FROM (
    VALUES
        ('forces', 'forces, muscles, weight and energy cannot be seen in a video'),
        ('metres', 'the picture has no scale: distances and speeds are known in pixels and torso lengths, not in metres or km/h'),
        ('health', 'injuries, pain and fitness are not measured; ask a physician'),
        ('advice', 'the lake holds measurements, and no advice'),
        ('identity', 'who somebody is, and how old, is not in the landmarks; `posedata tag` names the subjects of videos'),
        ('future', 'only what was filmed is measured, not what will be'),
        ('appearance', 'only the landmarks of bodies are measured: no clothes, objects, places or sounds'),
        ('unclear', 'it is not clear what is asked'),
        ('other', 'it is no question about the motion in these videos')
) AS reasons (topic, reason)
WHERE topic = $topic;
