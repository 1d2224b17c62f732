-- metrics computed from landmarks_filtered (`posedata metrics recompute`); columns as in metrics,
-- then those that a height in metres adds (--height-m).
CREATE TABLE metrics_filtered (
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
    cutoff_hz FLOAT NOT NULL,
    interpolated BOOLEAN NOT NULL,
    height_m FLOAT,
    meters_per_px FLOAT,
    center_x_m FLOAT,
    center_y_m FLOAT,
    center_speed_m_per_sec FLOAT,
    peak_landmark_speed_m_per_sec FLOAT,
    sport VARCHAR NOT NULL
);

ALTER TABLE metrics_filtered SET PARTITIONED BY (sport);

COMMENT ON TABLE metrics_filtered IS 'What the filtered landmarks say: metrics'' columns without the noise, over short gaps too. Written by posedata metrics recompute; NULL, never 0, where it cannot be told. Stored as precisely as in metrics.';
COMMENT ON COLUMN metrics_filtered.video_id IS 'Video, see videos.video_id.';
COMMENT ON COLUMN metrics_filtered.person IS 'Number of the person within the video, from 0.';
COMMENT ON COLUMN metrics_filtered.frame IS 'Frame number within the video, from 0, in display order.';
COMMENT ON COLUMN metrics_filtered.time_secs IS 'Presentation time of the frame in seconds from the first frame; real seconds where the video has a slow_motion_factor.';
COMMENT ON COLUMN metrics_filtered.quality IS 'As in metrics, where a filtered landmark counts as visible: measured or interpolated.';
COMMENT ON COLUMN metrics_filtered.pose_probability IS 'As in metrics; NULL in an interpolated frame.';
COMMENT ON COLUMN metrics_filtered.mean_visibility IS 'As in metrics; NULL in an interpolated frame.';
COMMENT ON COLUMN metrics_filtered.shoulder_width_m IS 'Distance left_shoulder to right_shoulder, world landmarks, metres.';
COMMENT ON COLUMN metrics_filtered.hip_width_m IS 'Distance left_hip to right_hip, world landmarks, metres.';
COMMENT ON COLUMN metrics_filtered.shoulder_hip_ratio IS 'shoulder_width_m / hip_width_m.';
COMMENT ON COLUMN metrics_filtered.torso_length_px IS 'Distance in the picture from the middle of the shoulders to the middle of the hips, pixels.';
COMMENT ON COLUMN metrics_filtered.shoulder_width_torso IS 'Shoulder width in the picture in torso lengths; small in side view.';
COMMENT ON COLUMN metrics_filtered.hip_width_torso IS 'Hip width in the picture in torso lengths; small in side view.';
COMMENT ON COLUMN metrics_filtered.shoulder_hip_ratio_image IS 'Shoulder width / hip width, both in the picture.';
COMMENT ON COLUMN metrics_filtered.left_knee_deg IS 'Angle left_hip - left_knee - left_ankle, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics_filtered.right_knee_deg IS 'Angle right_hip - right_knee - right_ankle, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics_filtered.left_hip_deg IS 'Angle left_shoulder - left_hip - left_knee, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics_filtered.right_hip_deg IS 'Angle right_shoulder - right_hip - right_knee, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics_filtered.left_ankle_deg IS 'Angle left_knee - left_ankle - left_foot_index, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics_filtered.right_ankle_deg IS 'Angle right_knee - right_ankle - right_foot_index, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics_filtered.left_elbow_deg IS 'Angle left_shoulder - left_elbow - left_wrist, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics_filtered.right_elbow_deg IS 'Angle right_shoulder - right_elbow - right_wrist, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics_filtered.left_shoulder_deg IS 'Angle left_hip - left_shoulder - left_elbow, world landmarks, 0..180 degrees, 180 = arm straight up.';
COMMENT ON COLUMN metrics_filtered.right_shoulder_deg IS 'Angle right_hip - right_shoulder - right_elbow, world landmarks, 0..180 degrees, 180 = arm straight up.';
COMMENT ON COLUMN metrics_filtered.left_wrist_deg IS 'Angle left_elbow - left_wrist - left_index, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics_filtered.right_wrist_deg IS 'Angle right_elbow - right_wrist - right_index, world landmarks, 0..180 degrees, 180 = straight.';
COMMENT ON COLUMN metrics_filtered.trunk_lean_deg IS 'Angle between the trunk (middle of hips to middle of shoulders) and the picture''s vertical, world landmarks, 0..180 degrees, 0 = upright.';
COMMENT ON COLUMN metrics_filtered.center_speed_px_per_sec IS 'Speed of the middle of the hips since the frame before, pixels per second; NULL after a frame without a pose, over a pause of the recording, and where no time has passed.';
COMMENT ON COLUMN metrics_filtered.center_speed_torso_per_sec IS 'The same in this frame''s torso lengths per second.';
COMMENT ON COLUMN metrics_filtered.peak_landmark_speed_px_per_sec IS 'Speed of the fastest visible landmark since the frame before, pixels per second; NULL where center_speed_px_per_sec is for want of time or of a frame before.';
COMMENT ON COLUMN metrics_filtered.peak_landmark_speed_torso_per_sec IS 'The same in this frame''s torso lengths per second.';
COMMENT ON COLUMN metrics_filtered.peak_landmark IS 'Name of that fastest landmark.';
COMMENT ON COLUMN metrics_filtered.facing IS 'Which way of the picture the person faces, right or left: where the visible feet point (heel to foot_index); it changes when they point the other way by a quarter of their length; NULL before a foot was visible. In front and back views it means little.';
COMMENT ON COLUMN metrics_filtered.left_foot_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction left_heel - left_foot_index, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; 0 = toes straight ahead at the height of the heel, positive = toes up.';
COMMENT ON COLUMN metrics_filtered.right_foot_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_heel - right_foot_index, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; 0 = toes straight ahead at the height of the heel, positive = toes up.';
COMMENT ON COLUMN metrics_filtered.left_shank_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction left_knee - left_ankle, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = upright, above -90 = ankle in front of the knee.';
COMMENT ON COLUMN metrics_filtered.right_shank_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_knee - right_ankle, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = upright, above -90 = ankle in front of the knee.';
COMMENT ON COLUMN metrics_filtered.left_thigh_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction left_hip - left_knee, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = upright, above -90 = knee in front of the hip.';
COMMENT ON COLUMN metrics_filtered.right_thigh_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_hip - right_knee, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = upright, above -90 = knee in front of the hip.';
COMMENT ON COLUMN metrics_filtered.pelvis_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_hip - left_hip, anticlockwise, mirrored where the person faces left; -90 to below 90 degrees (a line, not an arrow); 0 = level.';
COMMENT ON COLUMN metrics_filtered.trunk_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction middle of hips - middle of shoulders, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; 90 = upright, below 90 = leaning forward.';
COMMENT ON COLUMN metrics_filtered.shoulders_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_shoulder - left_shoulder, anticlockwise, mirrored where the person faces left; -90 to below 90 degrees (a line, not an arrow); 0 = level.';
COMMENT ON COLUMN metrics_filtered.head_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction middle of shoulders - middle of ears, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; 90 = ears straight above the shoulders, below 90 = in front of them, as ears are in side view.';
COMMENT ON COLUMN metrics_filtered.left_arm_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction left_shoulder - left_elbow, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = hanging, 0 = straight ahead, 90 = up.';
COMMENT ON COLUMN metrics_filtered.right_arm_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_shoulder - right_elbow, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = hanging, 0 = straight ahead, 90 = up.';
COMMENT ON COLUMN metrics_filtered.left_forearm_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction left_elbow - left_wrist, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = hanging, 0 = straight ahead, 90 = up.';
COMMENT ON COLUMN metrics_filtered.right_forearm_segment_deg IS 'Angle in the picture from the horizontal straight ahead (see facing) to the direction right_elbow - right_wrist, anticlockwise, mirrored where the person faces left; -180 to below 180 degrees; -90 = hanging, 0 = straight ahead, 90 = up.';
COMMENT ON COLUMN metrics_filtered.left_right_swap IS 'As in metrics: it is about the unfiltered landmarks. NULL in an interpolated frame.';
COMMENT ON COLUMN metrics_filtered.bone_length_jump IS 'As in metrics: it is about the unfiltered landmarks. NULL in an interpolated frame.';
COMMENT ON COLUMN metrics_filtered.cutoff_hz IS 'Cut-off frequency of the low-pass filter, hertz.';
COMMENT ON COLUMN metrics_filtered.interpolated IS 'TRUE where the person was not found in this frame and all landmarks are interpolated.';
COMMENT ON COLUMN metrics_filtered.height_m IS 'Height of this person as given with --height-m, metres; NULL where it was not given.';
COMMENT ON COLUMN metrics_filtered.meters_per_px IS 'height_m / height in pixels of this person; the same in the whole video, so right only at the distance at which the person mostly is. NULL where no height was given, as are all columns in metres below.';
COMMENT ON COLUMN metrics_filtered.center_x_m IS 'Middle of the hips, metres to the right of the picture''s left edge.';
COMMENT ON COLUMN metrics_filtered.center_y_m IS 'Middle of the hips, metres above the picture''s lower edge.';
COMMENT ON COLUMN metrics_filtered.center_speed_m_per_sec IS 'center_speed_px_per_sec in metres per second, in the picture''s plane.';
COMMENT ON COLUMN metrics_filtered.peak_landmark_speed_m_per_sec IS 'peak_landmark_speed_px_per_sec in metres per second, in the picture''s plane.';
COMMENT ON COLUMN metrics_filtered.sport IS 'Sport or activity, see videos.sport; partition of the files.';
