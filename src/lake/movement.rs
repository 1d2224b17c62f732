//! Writes the tables of movements: events and cycles.

use super::columns::{Column, Layout, Storage, batch};
use super::derived::DerivedWriter;
use super::error::LakeError;
use super::rows::{Key, key_columns, keyed};
use super::staged::StagedFile;
use crate::movement::{Cycle, CycleKind, Event, EventKind, Side};

/// What was found of one person.
pub struct PersonMovement {
    /// Number within the video, from 0.
    pub person: u16,
    /// In the order of their times.
    pub events: Vec<Event>,
    /// In the order of their beginnings, each with the floor's angle that was taken into account.
    pub cycles: Vec<(Cycle, Option<f64>)>,
}

/// A row of `events`.
pub(super) struct EventRow {
    key: Key,
    event: Event,
}

keyed!(EventRow);

/// A row of `cycles`.
pub(super) struct CycleRow {
    person: i16,
    number: i32,
    cycle: Cycle,
    floor_angle_deg: Option<f64>,
}

impl DerivedWriter<'_> {
    /// Writes the rows of `events`; `None` when there are none.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn events(&self, people: &[PersonMovement]) -> Result<Option<StagedFile>, LakeError> {
        let columns = event_columns(&self.video.video_id);
        let rows = people.iter().flat_map(|movement| {
            movement.events.iter().map(|event| {
                Ok(EventRow {
                    key: Key {
                        person: movement.person as i16,
                        frame: event.frame as i32,
                        time_secs: event.time_secs,
                    },
                    event: event.clone(),
                })
            })
        });
        self.in_chunks("events", &Layout::of(&columns), rows, |rows| {
            batch(&columns, &rows)
        })
    }

    /// Writes the rows of `cycles`; `None` when there are none.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn cycles(&self, people: &[PersonMovement]) -> Result<Option<StagedFile>, LakeError> {
        let columns = cycle_columns(&self.video.video_id);
        let rows = people.iter().flat_map(|movement| {
            let numbered = (0..).zip(&movement.cycles);
            numbered.map(|(number, (cycle, floor_angle_deg))| {
                Ok(CycleRow {
                    person: movement.person as i16,
                    number,
                    cycle: cycle.clone(),
                    floor_angle_deg: *floor_angle_deg,
                })
            })
        });
        self.in_chunks("cycles", &Layout::of(&columns), rows, |rows| {
            batch(&columns, &rows)
        })
    }
}

/// The columns of `events`.
pub(super) fn event_columns(video_id: &str) -> Vec<Column<EventRow>> {
    let mut columns = key_columns(video_id, Storage::ByteStreamSplit);
    let kinds = EventKind::ALL.map(EventKind::name).to_vec();
    columns.extend([
        Column::name("event", kinds, |row: &EventRow| {
            position(&EventKind::ALL, row.event.kind)
        })
        .required(),
        side("side", |row: &EventRow| row.event.side),
        Column::text("method", |row: &EventRow| Some(row.event.method)).required(),
        Column::optional("confidence", |row: &EventRow| row.event.confidence),
        Column::optional("value", |row: &EventRow| row.event.value),
        Column::text("unit", |row: &EventRow| row.event.unit),
    ]);
    columns
}

/// The columns of `cycles`.
pub(super) fn cycle_columns(video_id: &str) -> Vec<Column<CycleRow>> {
    macro_rules! number {
        ($name:ident) => {
            Column::optional(stringify!($name), |row: &CycleRow| row.cycle.$name)
        };
    }
    let kinds = CycleKind::ALL.map(CycleKind::name).to_vec();
    vec![
        Column::constant("video_id", video_id),
        Column::new("person", |row: &CycleRow| row.person),
        Column::new("cycle", |row: &CycleRow| row.number),
        Column::name("kind", kinds, |row: &CycleRow| {
            position(&CycleKind::ALL, row.cycle.kind)
        })
        .required(),
        side("side", |row: &CycleRow| row.cycle.side),
        Column::text("method", |row: &CycleRow| Some(row.cycle.method)).required(),
        Column::new("start_frame", |row: &CycleRow| row.cycle.start_frame as i32),
        Column::new("end_frame", |row: &CycleRow| row.cycle.end_frame as i32),
        Column::new("start_secs", |row: &CycleRow| row.cycle.start_secs),
        Column::new("end_secs", |row: &CycleRow| row.cycle.end_secs),
        number!(confidence),
        number!(step_secs),
        number!(stance_secs),
        number!(swing_secs),
        number!(double_support_secs),
        number!(flight_secs),
        number!(flight_error_secs),
        number!(stride_length_m),
        number!(speed_m_per_sec),
        number!(height_flight_m),
        number!(height_hips_m),
        number!(lowest_deg),
        number!(highest_deg),
        number!(lowering_secs),
        number!(hold_secs),
        number!(raising_secs),
        Column::optional("floor_angle_deg", |row: &CycleRow| row.floor_angle_deg),
    ]
}

fn side<R: 'static>(name: &'static str, get: fn(&R) -> Option<Side>) -> Column<R> {
    let names = Side::ALL.map(Side::name).to_vec();
    Column::name(name, names, move |row| position(&Side::ALL, get(row)?))
}

fn position<T: PartialEq>(all: &[T], one: T) -> Option<usize> {
    all.iter().position(|other| *other == one)
}
