-- What the lake cannot tell, and why.
--
-- What is asked for here is not measured, or is no question about motion; `reason` says so to whoever asked.
--
-- question weight = 2
-- param topic choice(forces, metres, health, advice, identity, future, appearance, causes, events, unmeasured, unclear, other) : what it is about
-- words topic=forces : force*|newton*|muscle*|muscular|torque*|calorie*|kcal|energy|watt*|weigh|weighs|weight|heavy|power
-- words topic=metres : km / h, m / s
-- words topic=metres : kmh|kph|mph|km|metre|metres|meter|meters|cm|centimet*|kilomet*|inch|inches|miles, how tall
-- words topic=health : injur*|pain*|hurt*|healthy|unhealthy|pulse|arthritis|tired|fatigue*|exhausted|sick|disease*|diagnos*
-- words topic=health : heart rate, fit enough
-- words topic=advice : should|advice|advise|recommend*|improve|improving, training plan, good form|squat
-- words topic=advice : form correct
-- words topic=advice : how can|could i|he|she|they|we|you, how do i|we, get better|faster, my technique
-- words topic=advice : exercises for|help
-- words topic=identity : who is|s that|this|he|she, who is|s in, who is|s the person|man|woman|guy, who are, how old
-- words topic=identity : his|her|their name, man|male or woman|female, man or a woman, gender|professional
-- words topic=future : tomorrow|predict*|forecast*, next year|week|month, will he|she|they|the|it
-- words topic=future : happens|happen next
-- words topic=appearance : colour*|color*|wear*|shirt|shoes|clothes|background|hair|smil*|music|raining
-- words topic=appearance : which|what camera
-- words topic=causes : why|explain, what causes
-- words topic=events : how many steps|strides|jumps|reps|repetitions|squats|cycles
-- words topic=events : number of steps|strides|jumps|repetitions
-- words topic=events : cadence, step|stride length|rate|frequency|time|width, ground contact, contact time
-- words topic=events : jump height
-- words topic=events : how high .. jump|jumps, gait cycle*
-- words topic=unmeasured : angular|rotation* speed*|velocit*
-- words topic=unmeasured : acceler*|jerk|median|variance|deviation|percentile*|correlat*|histogram
-- words topic=unmeasured : distance*|path|displacement|trajectory|pixel*|coordinate*
-- words topic=unmeasured : how high is|are|does|do .. hand|hands|foot|feet|wrist|wrists
-- words topic=other : joke|poem|weather|translat*|python|delete|install, capital of, select .. from, drop table
-- words topic=other : insert into
-- words topic=other : ignore all|previous|your, world cup
-- words topic=unmeasured : rate of change, how fast|quickly|quick .. angle|bend|bends|extend|extends|flex|flexes|straighten*|open|opens
-- words topic=unmeasured : radian*|rad|rads
-- words topic=unclear : at|near|around|towards|toward the|its beginning|start|middle|midpoint, in the beginning|middle
-- words topic=unclear : near|by|towards|toward the|its end, at the|its end of|in|for, before|from the end, halfway
-- words topic=unclear : first|second|last|latter half|third|quarter, in|at|of the first|last frame|frames, last few|couple
-- words topic=unclear : # .. later|earlier, later|earlier than|in|on
-- words topic=unclear : other|second|third|another person|man|woman|guy|girl|boy|runner|athlete|player
-- words topic=unclear : both persons|people|men|women|guys|girls|boys|runners|athletes|players, everyone|everybody
-- words topic=unclear : person|man|woman|guy|girl|boy|runner|athlete|player on|at|to the left|right, in front|behind
-- words topic=unclear : left|right person|man|woman|guy|girl|boy|runner|athlete|player, each|every person
-- words topic=unclear : not below|under|above|over|beyond|less|more|smaller|larger|greater, not exceed*, except, excluding
-- words topic=unclear : last go|goes|went|get|gets|drop*|fall*|rise*|cross*|exceed*|reach*|below|above|time
-- words topic=unclear : for # s|sec|secs|seconds from|after|starting|beginning, from|at|after # .. for #
-- words topic=unclear : by|moves|move|changes|change|varies|vary more|less than #
-- words topic=unclear : how far|much below|under|above|over|beyond|past #
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
        ('causes', 'the lake holds what was measured, not why'),
        ('events', 'steps, jumps and repetitions are found by `posedata events detect`, and queries such as gait, jumps and repetitions count them'),
        ('unmeasured', 'angular speeds, accelerations, paths, distances and positions are not among what can be asked; `posedata query` computes what the lake holds'),
        ('unclear', 'it is not clear what is asked; times are said in seconds ("at 1.5 s", "from 2 to 4 s"), people by their numbers ("person 1")'),
        ('other', 'it is no question about the motion in these videos')
) AS reasons (topic, reason)
WHERE topic = $topic;
