//! Two people who pass each other: whether each of them goes on as themselves.
//!
//! While people hide each other a tracker may go on with the other one, and their numbers are exchanged from
//! then on, or until it notices. A stride or a repetition over such a moment would be made of two people.
//! Whoever was passed goes on as before: their velocities before and behind tell whether numbers were
//! exchanged. Where they do not tell it, nothing is found across the moment either.
//!
//! People who stay beside each other, as on two treadmills, do not pass each other.

/// People whose hips are nearer hide each other, in trunk lengths.
const NEAR: f64 = 1.0;
/// Before and behind, velocities are looked at for so long.
const LOOK_SECS: f64 = 0.4;
/// Whoever passes somebody has another velocity, by this; trunk lengths a second.
const MIN_PASSING_SPEED: f64 = 1.0;
/// It is clear who is who where the other way round fits so many times worse.
const CLEAR_FACTOR: f64 = 2.0;
/// From one frame to the next, people who exchange their numbers seem to move so far together.
const MIN_EXCHANGE: f64 = 1.0;

/// Where paths of two people have to end and begin anew. `hips` are the places of both in the same frames,
/// `None` where somebody is not seen; `times_secs` ascend, `trunk_px` is the length of a trunk, above 0.
/// Gives positions of first frames.
pub fn breaks(times_secs: &[f64], hips: [&[Option<[f64; 2]>]; 2], trunk_px: f64) -> Vec<usize> {
    let exchanges = exchanges(hips, trunk_px);
    let mut breaks = exchanges.clone();
    for contact in contacts(times_secs, hips, trunk_px) {
        // Both are themselves from the last exchange to the next one.
        let last = exchanges.iter().rfind(|frame| **frame <= contact.start);
        let next = exchanges.iter().find(|frame| **frame >= contact.end);
        let within = last.copied().unwrap_or(0)..next.copied().unwrap_or(times_secs.len());
        if !go_on(times_secs, hips, trunk_px, &contact, within) {
            breaks.push((contact.start + contact.end) / 2);
        }
    }
    breaks.sort_unstable();
    breaks.dedup();
    breaks
}

/// Frames in which the two hide each other; of those in which one is not seen, the ones between.
fn contacts(
    times_secs: &[f64],
    [a, b]: [&[Option<[f64; 2]>]; 2],
    trunk_px: f64,
) -> Vec<std::ops::Range<usize>> {
    let mut contacts: Vec<std::ops::Range<usize>> = Vec::new();
    for i in 0..times_secs.len() {
        let is_near = a[i]
            .zip(b[i])
            .is_some_and(|(a, b)| distance(a, b) < NEAR * trunk_px);
        if !is_near {
            continue;
        }
        match contacts.last_mut() {
            Some(last) if times_secs[i] - times_secs[last.end - 1] <= LOOK_SECS => last.end = i + 1,
            _ => contacts.push(i..i + 1),
        }
    }
    contacts
}

/// Whether both go on behind a contact as they came, or do not pass each other; velocities are looked at
/// `within` these frames.
fn go_on(
    times_secs: &[f64],
    hips: [&[Option<[f64; 2]>]; 2],
    trunk_px: f64,
    contact: &std::ops::Range<usize>,
    within: std::ops::Range<usize>,
) -> bool {
    let first = times_secs.partition_point(|t| *t < times_secs[contact.start] - LOOK_SECS);
    let end = times_secs.partition_point(|t| *t <= times_secs[contact.end - 1] + LOOK_SECS);
    let (first, end) = (first.max(within.start), end.min(within.end));
    let velocities = |frames: std::ops::Range<usize>| {
        hips.map(|hips| velocity(&times_secs[frames.clone()], &hips[frames.clone()]))
    };
    let before = velocities(first..contact.start);
    let behind = velocities(contact.end..end);
    let speed = |[a, b]: [Option<[f64; 2]>; 2]| Some(distance(a?, b?) / trunk_px);
    let passes = |velocities| speed(velocities).is_some_and(|speed| speed > MIN_PASSING_SPEED);
    if !passes(before) && !passes(behind) {
        return true;
    }
    // Of both, or of the one who is seen before and behind.
    let off = |order: [usize; 2]| {
        let pairs = [0, 1].into_iter().zip(order);
        let pairs = pairs.filter_map(|(from, to)| Some(distance(before[from]?, behind[to]?)));
        pairs.reduce(|a, b| a + b)
    };
    match (off([0, 1]), off([1, 0])) {
        (Some(same), Some(exchanged)) => CLEAR_FACTOR * same <= exchanged,
        // Somebody comes or goes here, and nobody else is seen with whom they could be exchanged.
        (Some(_), None) => true,
        _ => false,
    }
}

/// Pixels a second between the first and the last place that is known; `None` with less than two.
fn velocity(times_secs: &[f64], places: &[Option<[f64; 2]>]) -> Option<[f64; 2]> {
    let mut known = times_secs
        .iter()
        .zip(places)
        .filter_map(|(t, place)| Some((*t, (*place)?)));
    let (first_secs, first) = known.next()?;
    let (last_secs, last) = known.next_back()?;
    let secs = last_secs - first_secs;
    (secs > 0.0).then(|| [0, 1].map(|axis| (last[axis] - first[axis]) / secs))
}

/// Frames in which each is where the other one was in the frame before.
fn exchanges([a, b]: [&[Option<[f64; 2]>]; 2], trunk_px: f64) -> Vec<usize> {
    let exchanged = (1..a.len()).filter(|i| {
        let all = (a[i - 1].zip(b[i - 1])).zip(a[*i].zip(b[*i]));
        all.is_some_and(|((a0, b0), (a1, b1))| {
            let same = distance(a0, a1) + distance(b0, b1);
            let exchanged = distance(a0, b1) + distance(b0, a1);
            same > MIN_EXCHANGE * trunk_px && same > CLEAR_FACTOR * exchanged
        })
    });
    exchanged.collect()
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUNK_PX: f64 = 100.0;

    /// 4 s at 30 frames a second of two who go with these velocities and meet after 2 s; those for whom
    /// `is_exchanged` have each other's number.
    fn two(velocities_px: [f64; 2], is_exchanged: impl Fn(f64) -> bool) -> Vec<usize> {
        let times: Vec<f64> = (0..120).map(|i| f64::from(i) / 30.0).collect();
        let place = |time: f64, side: usize| {
            let side = if is_exchanged(time) { 1 - side } else { side };
            // A little beside each other, and bobbing.
            let up = 10.0 * side as f64 + 5.0 * (6.0 * time).sin();
            Some([500.0 + velocities_px[side] * (time - 2.0), 300.0 + up])
        };
        let hips = [0, 1].map(|side| {
            times
                .iter()
                .map(|time| place(*time, side))
                .collect::<Vec<_>>()
        });
        breaks(&times, [&hips[0], &hips[1]], TRUNK_PX)
    }

    #[test]
    fn who_passes_somebody_and_goes_on_is_one_person() {
        for velocities in [[250.0, -250.0], [300.0, 0.0], [250.0, 400.0]] {
            assert!(two(velocities, |_| false).is_empty(), "{velocities:?}");
        }
    }

    #[test]
    fn whose_numbers_are_exchanged_while_they_pass_are_two_people_each() {
        for velocities in [[250.0, -250.0], [300.0, 0.0], [250.0, 400.0]] {
            let found = two(velocities, |time| time > 2.0);
            let [frame] = found[..] else {
                panic!("{velocities:?}: {found:?}");
            };
            assert!(frame.abs_diff(60) <= 2, "{velocities:?}: {frame}");
        }
    }

    #[test]
    fn an_exchange_that_is_noticed_later_ends_paths_twice() {
        let found = two([250.0, -250.0], |time| time > 2.0 && time < 2.4);
        assert!(found.contains(&72), "{found:?}");
        assert!(
            found.iter().any(|frame| frame.abs_diff(60) <= 2),
            "{found:?}"
        );
    }

    #[test]
    fn who_stays_beside_somebody_does_not_pass_them() {
        assert!(two([0.0, 0.0], |_| false).is_empty());
        assert!(two([200.0, 210.0], |_| false).is_empty());
    }

    #[test]
    fn who_is_hidden_for_a_while_is_told_by_the_one_who_is_seen() {
        let times: Vec<f64> = (0..120).map(|i| f64::from(i) / 30.0).collect();
        let at = |velocity: f64, time: f64| Some([500.0 + velocity * (time - 2.0), 300.0]);
        let front: Vec<_> = times.iter().map(|time| at(250.0, *time)).collect();
        let behind = |velocity_behind: f64| -> Vec<_> {
            let place = |time: &f64| match time - 2.0 {
                off if off < -0.1 => at(-250.0, *time),
                off if off > 0.1 => at(velocity_behind, *time),
                _ => None,
            };
            times.iter().map(place).collect()
        };
        assert!(breaks(&times, [&front, &behind(-250.0)], TRUNK_PX).is_empty());
        // Found again, somebody goes the other way: who is who, nobody can tell.
        assert_eq!(breaks(&times, [&front, &behind(400.0)], TRUNK_PX).len(), 1);
    }
}
