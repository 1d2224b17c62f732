//! The 33 BlazePose landmarks: indices, names, left/right partners, the lines between them.

/// Number of body landmarks per pose.
pub const LANDMARK_COUNT: usize = 33;

macro_rules! landmarks {
    ($($index:literal $variant:ident $name:literal,)*) => {
        /// A body landmark. The discriminant is BlazePose's index; left and right are the person's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Landmark {
            $(#[doc = $name] $variant = $index,)*
        }

        impl Landmark {
            /// All landmarks in index order.
            pub const ALL: [Landmark; LANDMARK_COUNT] = [$(Landmark::$variant,)*];

            /// Snake-case name as MediaPipe documents it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Landmark::$variant => $name,)*
                }
            }
        }
    };
}

landmarks! {
    0 Nose "nose",
    1 LeftEyeInner "left_eye_inner",
    2 LeftEye "left_eye",
    3 LeftEyeOuter "left_eye_outer",
    4 RightEyeInner "right_eye_inner",
    5 RightEye "right_eye",
    6 RightEyeOuter "right_eye_outer",
    7 LeftEar "left_ear",
    8 RightEar "right_ear",
    9 MouthLeft "mouth_left",
    10 MouthRight "mouth_right",
    11 LeftShoulder "left_shoulder",
    12 RightShoulder "right_shoulder",
    13 LeftElbow "left_elbow",
    14 RightElbow "right_elbow",
    15 LeftWrist "left_wrist",
    16 RightWrist "right_wrist",
    17 LeftPinky "left_pinky",
    18 RightPinky "right_pinky",
    19 LeftIndex "left_index",
    20 RightIndex "right_index",
    21 LeftThumb "left_thumb",
    22 RightThumb "right_thumb",
    23 LeftHip "left_hip",
    24 RightHip "right_hip",
    25 LeftKnee "left_knee",
    26 RightKnee "right_knee",
    27 LeftAnkle "left_ankle",
    28 RightAnkle "right_ankle",
    29 LeftHeel "left_heel",
    30 RightHeel "right_heel",
    31 LeftFootIndex "left_foot_index",
    32 RightFootIndex "right_foot_index",
}

impl Landmark {
    /// Position in every array of landmarks.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The same landmark on the body's other side; the nose is its own.
    pub const fn partner(self) -> Self {
        // From the ears on, and in the face's two threes, left and right follow one another.
        let index = self.index();
        Self::ALL[match index {
            0 => 0,
            1..=3 => index + 3,
            4..=6 => index - 3,
            _ if index % 2 == 1 => index + 1,
            _ => index - 1,
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::Landmark;

    #[test]
    fn partners_differ_in_their_side_alone() {
        for landmark in Landmark::ALL {
            let swapped = match landmark.name() {
                name if name.contains("left") => name.replace("left", "right"),
                name => name.replace("right", "left"),
            };
            assert_eq!(landmark.partner().name(), swapped);
        }
    }

    #[test]
    fn every_landmark_stands_at_its_own_index() {
        for (i, landmark) in Landmark::ALL.iter().enumerate() {
            assert_eq!(landmark.index(), i, "{}", landmark.name());
        }
    }
}
