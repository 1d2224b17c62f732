-- One row per video, frame and person; a frame in which nobody was found has one row of person 0
-- with quality 'no_pose'. NULL where the landmarks that a value needs are less visible than 0.5.
CREATE TABLE metrics (
    video_id VARCHAR NOT NULL,
    person SMALLINT NOT NULL,
    frame INTEGER NOT NULL,
    time_secs DOUBLE NOT NULL,
    quality VARCHAR NOT NULL,
    pose_probability FLOAT,
    mean_visibility FLOAT,
    shoulder_width_m FLOAT,
    hip_width_m FLOAT,
    shoulder_hip_ratio FLOAT,
    torso_length_px FLOAT,
    shoulder_width_torso FLOAT,
    hip_width_torso FLOAT,
    shoulder_hip_ratio_image FLOAT,
    left_knee_deg FLOAT,
    right_knee_deg FLOAT,
    left_hip_deg FLOAT,
    right_hip_deg FLOAT,
    left_ankle_deg FLOAT,
    right_ankle_deg FLOAT,
    left_elbow_deg FLOAT,
    right_elbow_deg FLOAT,
    left_shoulder_deg FLOAT,
    right_shoulder_deg FLOAT,
    left_wrist_deg FLOAT,
    right_wrist_deg FLOAT,
    trunk_lean_deg FLOAT,
    center_speed_px_per_sec FLOAT,
    center_speed_torso_per_sec FLOAT,
    peak_landmark_speed_px_per_sec FLOAT,
    peak_landmark_speed_torso_per_sec FLOAT,
    peak_landmark VARCHAR,
    facing VARCHAR,
    left_foot_segment_deg FLOAT,
    right_foot_segment_deg FLOAT,
    left_shank_segment_deg FLOAT,
    right_shank_segment_deg FLOAT,
    left_thigh_segment_deg FLOAT,
    right_thigh_segment_deg FLOAT,
    pelvis_segment_deg FLOAT,
    trunk_segment_deg FLOAT,
    shoulders_segment_deg FLOAT,
    head_segment_deg FLOAT,
    left_arm_segment_deg FLOAT,
    right_arm_segment_deg FLOAT,
    left_forearm_segment_deg FLOAT,
    right_forearm_segment_deg FLOAT,
    left_right_swap BOOLEAN,
    bone_length_jump BOOLEAN,
    sport VARCHAR NOT NULL
);

ALTER TABLE metrics SET PARTITIONED BY (sport);

COMMENT ON TABLE metrics IS 'What each frame says about each person: widths, angles, speeds, quality. NULL, never 0, where it cannot be told. Angles are stored in steps of 2^-7 degrees, other numbers to 13 significant bits.';
COMMENT ON COLUMN metrics.video_id IS 'Video, see videos.video_id.';
COMMENT ON COLUMN metrics.person IS 'Number of the person within the video, from 0.';
COMMENT ON COLUMN metrics.frame IS 'Frame number within the video, from 0, in display order.';
COMMENT ON COLUMN metrics.time_secs IS 'Presentation time of the frame in seconds from the first frame; real seconds where the video has a slow_motion_factor.';
COMMENT ON COLUMN metrics.quality IS 'good: shoulders, hips, elbows, wrists, knees and ankles all visible; partial: shoulders and hips visible; poor: not even those; no_pose: nobody found.';
COMMENT ON COLUMN metrics.pose_probability IS 'Probability, 0..1, that the tracked region shows a person.';
COMMENT ON COLUMN metrics.mean_visibility IS 'Mean visibility of the landmarks that the pose model gives (BlazePose: all 33), 0..1.';
COMMENT ON COLUMN metrics.shoulder_width_m IS 'Distance left_shoulder to right_shoulder, world landmarks, metres.';
COMMENT ON COLUMN metrics.hip_width_m IS 'Distance left_hip to right_hip, world landmarks, metres.';
COMMENT ON COLUMN metrics.shoulder_hip_ratio IS 'shoulder_width_m / hip_width_m.';
COMMENT ON COLUMN metrics.torso_length_px IS 'Distance in the picture from the middle of the shoulders to the middle of the hips, pixels.';
COMMENT ON COLUMN metrics.shoulder_width_torso IS 'Shoulder width in the picture in torso lengths; small in side view.';
COMMENT ON COLUMN metrics.hip_width_torso IS 'Hip width in the picture in torso lengths; small in side view.';
COMMENT ON COLUMN metrics.shoulder_hip_ratio_image IS 'Shoulder width / hip width, both in the picture.';
COMMENT ON COLUMN metrics.left_knee_deg IS 'Angle left_hip - left_knee - left_ankle, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics.right_knee_deg IS 'Angle right_hip - right_knee - right_ankle, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics.left_hip_deg IS 'Angle left_shoulder - left_hip - left_knee, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics.right_hip_deg IS 'Angle right_shoulder - right_hip - right_knee, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics.left_ankle_deg IS 'Angle left_knee - left_ankle - left_foot_index, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics.right_ankle_deg IS 'Angle right_knee - right_ankle - right_foot_index, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics.left_elbow_deg IS 'Angle left_shoulder - left_elbow - left_wrist, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics.right_elbow_deg IS 'Angle right_shoulder - right_elbow - right_wrist, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics.left_shoulder_deg IS 'Angle left_hip - left_shoulder - left_elbow, world landmarks, 0..180 degrees, 180 = arm straight up.';
COMMENT ON COLUMN metrics.right_shoulder_deg IS 'Angle right_hip - right_shoulder - right_elbow, world landmarks, 0..180 degrees, 180 = arm straight up.';
COMMENT ON COLUMN metrics.left_wrist_deg IS 'Angle left_elbow - left_wrist - left_index, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics.right_wrist_deg IS 'Angle right_elbow - right_wrist - right_index, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics.trunk_lean_deg IS 'Angle between the trunk (middle of hips to middle of shoulders) and the picture''s vertical, world landmarks, 0..180 degrees, 0 = upright.';
COMMENT ON COLUMN metrics.center_speed_px_per_sec IS 'Speed of the middle of the hips since the frame before, pixels per second; NULL after a frame without a pose, over a pause of the recording, and where no time has passed.';
COMMENT ON COLUMN metrics.center_speed_torso_per_sec IS 'The same in this frame''s torso lengths per second.';
COMMENT ON COLUMN metrics.peak_landmark_speed_px_per_sec IS 'Speed of the fastest visible landmark since the frame before, pixels per second; NULL where center_speed_px_per_sec is for want of time or of a frame before.';
COMMENT ON COLUMN metrics.peak_landmark_speed_torso_per_sec IS 'The same in this frame''s torso lengths per second.';
COMMENT ON COLUMN metrics.peak_landmark IS 'Name of that fastest landmark.';
COMMENT ON COLUMN metrics.facing IS 'Which way of the picture the person faces, right or left: where the visible feet point (heel to foot_index); it changes when they point the other way by a quarter of their length; NULL before a foot was visible. In front and back views it means little.';
COMMENT ON COLUMN metrics.left_foot_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction left_heel - left_foot_index, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; 0 = toes straight ahead at the height of the heel, positive = toes up.';
COMMENT ON COLUMN metrics.right_foot_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_heel - right_foot_index, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; 0 = toes straight ahead at the height of the heel, positive = toes up.';
COMMENT ON COLUMN metrics.left_shank_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction left_knee - left_ankle, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = upright, above -90 = ankle in front of the knee.';
COMMENT ON COLUMN metrics.right_shank_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_knee - right_ankle, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = upright, above -90 = ankle in front of the knee.';
COMMENT ON COLUMN metrics.left_thigh_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction left_hip - left_knee, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = upright, above -90 = knee in front of the hip.';
COMMENT ON COLUMN metrics.right_thigh_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_hip - right_knee, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = upright, above -90 = knee in front of the hip.';
COMMENT ON COLUMN metrics.pelvis_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_hip - left_hip, anticlockwise, mirrored where the person faces left; -90 to below 90 degrees (a line, not an arrow); 0 = level.';
COMMENT ON COLUMN metrics.trunk_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction middle of hips - middle of shoulders, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; 90 = upright, below 90 = leaning forward.';
COMMENT ON COLUMN metrics.shoulders_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_shoulder - left_shoulder, anticlockwise, mirrored where the person faces left; -90 to below 90 degrees (a line, not an arrow); 0 = level.';
COMMENT ON COLUMN metrics.head_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction middle of shoulders - middle of ears, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; 90 = ears straight above the shoulders, below 90 = in front of them, as ears are in side view.';
COMMENT ON COLUMN metrics.left_arm_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction left_shoulder - left_elbow, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = hanging, 0 = straight ahead, 90 = up.';
COMMENT ON COLUMN metrics.right_arm_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_shoulder - right_elbow, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = hanging, 0 = straight ahead, 90 = up.';
COMMENT ON COLUMN metrics.left_forearm_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction left_elbow - left_wrist, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = hanging, 0 = straight ahead, 90 = up.';
COMMENT ON COLUMN metrics.right_forearm_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_elbow - right_wrist, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = hanging, 0 = straight ahead, 90 = up.';
COMMENT ON COLUMN metrics.left_right_swap IS 'TRUE where the motion since the frame before is explained far better by legs, or arms, whose left and right were exchanged; a single exchanged frame gives two such frames, into it and out of it. NULL where there is no frame before to compare with.';
COMMENT ON COLUMN metrics.bone_length_jump IS 'TRUE where an upper arm, forearm, thigh or shank (world landmarks) is longer or shorter than its median over the last 31 frames by more than the factor 1.5. NULL where no such bone is visible or has 5 earlier frames.';
COMMENT ON COLUMN metrics.sport IS 'Sport or activity, see videos.sport; partition of the files.';
