//! What one client does, and when.

use std::time::{Duration, Instant};

use sundown::Watch;

use crate::grammar::Script;

/// When something is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// So long after the round began.
    At(Duration),
    /// So long after what was done before.
    After(Duration),
    /// So many microseconds after the time at which the claim is due.
    Due(i64),
    /// So long after the claim.
    Claimed(Duration),
}

impl Moment {
    /// Waits for what it depends on, which is before it.
    pub(crate) fn resolve(self, began: Instant, watch: &Watch) -> Instant {
        match self {
            Moment::At(after) => began + after,
            Moment::After(pause) => Instant::now() + pause,
            Moment::Due(offset) => {
                let due = smol::block_on(watch.draining()).at();
                let micros = Duration::from_micros(offset.unsigned_abs());
                if offset < 0 { due - micros } else { due + micros }
            }
            Moment::Claimed(after) => {
                smol::block_on(watch.claimed());
                Instant::now() + after
            }
        }
    }
}

/// What a client does when all is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// Nothing.
    Read,
    HalfClose,
    Reset,
    /// Reads nothing before the shutdown has finished.
    Deaf,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) script: Script,
    pub(crate) connects: Moment,
    /// Where pieces end, and when each is sent.
    pub(crate) pieces: Vec<(usize, Moment)>,
    pub(crate) last: Last,
}

impl Plan {
    /// One that keeps the server in flight from the beginning to the claim.
    pub(crate) fn waiting(dice: &mut fastrand::Rng) -> Self {
        let script = Script::never("waiting");
        let pieces = vec![(script.bytes.len(), Moment::After(Duration::ZERO))];
        let last = if dice.bool() { Last::Read } else { Last::HalfClose };
        Plan { script, connects: Moment::At(Duration::ZERO), pieces, last }
    }

    pub(crate) fn draw(
        dice: &mut fastrand::Rng,
        n: usize,
        begins: Duration,
        grace: Duration,
        block: u64,
    ) -> Self {
        let script = Script::draw(dice, &format!("c{n}"), block);
        let mut cuts: Vec<_> = match dice.bool() {
            true => (0..dice.usize(1..4)).map(|_| dice.usize(..=script.bytes.len())).collect(),
            false => Vec::new(),
        };
        cuts.push(script.bytes.len());
        cuts.sort_unstable();
        let connects = moment(dice, begins, grace);
        let pause = |dice: &mut fastrand::Rng| match dice.u8(..5) {
            0 => moment(dice, begins, grace),
            _ => Moment::After(Duration::from_micros(dice.u64(..20_000))),
        };
        let mut pieces: Vec<_> = cuts.into_iter().map(|end| (end, pause(dice))).collect();
        if dice.bool() {
            pieces[0].1 = Moment::After(Duration::ZERO);
        }
        let last = match dice.u8(..16) {
            0 => Last::Reset,
            1 => Last::Deaf,
            2..5 => Last::HalfClose,
            _ => Last::Read,
        };
        Plan { script, connects, pieces, last }
    }
}

/// Around what matters.
fn moment(dice: &mut fastrand::Rng, begins: Duration, grace: Duration) -> Moment {
    let around = |dice: &mut fastrand::Rng, moment: Duration| {
        Moment::At(
            (moment + Duration::from_micros(dice.u64(..40_000))).saturating_sub(Duration::from_millis(20)),
        )
    };
    match dice.u8(..8) {
        0 | 1 => Moment::At(begins.mul_f64(dice.f64())),
        2 | 3 => around(dice, begins),
        4 => around(dice, begins + grace),
        5 => Moment::Due(dice.i64(-20_000..20_000)),
        6 => Moment::Claimed(Duration::from_micros(dice.u64(..30_000))),
        _ => Moment::At(begins + grace.mul_f64(dice.f64())),
    }
}
