//! Moments of a movement.

use crate::pose::landmark::Landmark;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// A foot touches the ground.
    InitialContact,
    /// A foot leaves the ground.
    ToeOff,
    /// The last foot leaves the ground for a jump.
    TakeOff,
    /// The first foot is back from a jump.
    Landing,
    /// An angle is smallest: the turn of a repetition that rests at a large angle, or between two that rest
    /// at a small one.
    RepLowest,
    /// An angle is largest: between two repetitions that rest there, or the turn of one that rests at a
    /// small angle.
    RepHighest,
}

impl EventKind {
    /// All, as the lake knows them.
    pub const ALL: [Self; 6] = [
        Self::InitialContact,
        Self::ToeOff,
        Self::TakeOff,
        Self::Landing,
        Self::RepLowest,
        Self::RepHighest,
    ];

    /// The value in the lake's `event` column.
    pub fn name(self) -> &'static str {
        match self {
            Self::InitialContact => "initial_contact",
            Self::ToeOff => "toe_off",
            Self::TakeOff => "take_off",
            Self::Landing => "landing",
            Self::RepLowest => "rep_lowest",
            Self::RepHighest => "rep_highest",
        }
    }
}

/// A side of the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The person's left.
    Left,
    /// The person's right.
    Right,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Left, Self::Right];

    /// The value in the lake's `side` column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    fn pick(self, left: Landmark, right: Landmark) -> Landmark {
        match self {
            Self::Left => left,
            Self::Right => right,
        }
    }

    /// Its hip.
    pub fn hip(self) -> Landmark {
        self.pick(Landmark::LeftHip, Landmark::RightHip)
    }

    /// Its knee.
    pub fn knee(self) -> Landmark {
        self.pick(Landmark::LeftKnee, Landmark::RightKnee)
    }

    /// Its ankle.
    pub fn ankle(self) -> Landmark {
        self.pick(Landmark::LeftAnkle, Landmark::RightAnkle)
    }

    /// Its heel.
    pub fn heel(self) -> Landmark {
        self.pick(Landmark::LeftHeel, Landmark::RightHeel)
    }

    /// The tip of its foot.
    pub fn toes(self) -> Landmark {
        self.pick(Landmark::LeftFootIndex, Landmark::RightFootIndex)
    }
}

/// A moment of a movement.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happens.
    pub kind: EventKind,
    /// `None` for what both sides do together.
    pub side: Option<Side>,
    /// The frame whose time is nearest.
    pub frame: u32,
    /// Interpolated between frames; from the video's first one, real seconds.
    pub time_secs: f64,
    /// How it was found; for repetitions, the angle's column.
    pub method: &'static str,
    /// 0..1; see each method.
    pub confidence: Option<f64>,
    /// What belongs to the moment, in [`Event::unit`].
    pub value: Option<f64>,
    /// `None` without a value.
    pub unit: Option<&'static str>,
}
