//! When a connection leaves a server that drains: with all others, or at a moment of its own.
//!
//! Where closes are spread, each connection has its place on a ramp that begins with the server's drain and reaches its
//! end with the server's deadline, live. Places follow from the connection's slot in the registry, by the golden ratio:
//! however many connections there are, they leave evenly, and nothing is kept for it.

use std::{future::Future, pin::Pin, task::Context, time::Instant};

use crate::{course::Course, phase::Phase};

/// What decides when a connection leaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rank {
    pub(crate) slot: usize,
    /// It came when the server was draining already.
    pub(crate) is_late: bool,
}

impl Rank {
    /// Its place on the ramp: each slot's is as far as can be from those of the slots before it
    /// (<https://en.wikipedia.org/wiki/Low-discrepancy_sequence#Additive_recurrence>).
    #[allow(clippy::cast_precision_loss)]
    fn place(self) -> f64 {
        const GOLDEN: f64 = 0.618_033_988_749_894_8;
        ((self.slot + 1) as f64 * GOLDEN).fract()
    }

    /// Its moment, on a ramp that begins and ends so.
    pub(crate) fn moment(self, begins: Instant, ends: Instant) -> Instant {
        begins + ends.saturating_duration_since(begins).mul_f64(self.place())
    }
}

/// When a connection leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// That is not known: the next phase tells more.
    Open,
    At(Instant),
    Now,
}

impl Departure {
    /// `ramp`: its beginning and its end, where closes are spread and the server drains.
    pub(crate) fn of(rank: Rank, phase: Phase, ramp: Option<(Instant, Instant)>) -> Self {
        match ramp {
            _ if phase >= Phase::Closing => Departure::Now,
            None => Departure::Open,
            // A request is on its way. Once nobody is expected any more, there is nothing to wait for.
            Some(_) if rank.is_late && phase < Phase::Spreading => Departure::Open,
            Some(_) if rank.is_late => Departure::Now,
            Some((begins, ends)) => Departure::At(rank.moment(begins, ends)),
        }
    }
}

/// Waits for a connection's moment. It has a timer only when there is one.
#[derive(Default)]
pub(crate) struct Moment(Option<Box<(Instant, Timer)>>);

type Timer = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

impl Moment {
    /// Whether it has come. Whoever asks is woken when it comes, but has to see to it that he is when the phase changes.
    pub(crate) fn has_come(&mut self, rank: Rank, server: &Course, cx: &mut Context<'_>) -> bool {
        let at = match server.departure(rank) {
            Departure::Open => return false,
            Departure::Now => return true,
            Departure::At(at) => at,
        };
        let Some(runtime) = server.runtime() else { return false };
        if at <= runtime.now() {
            return true;
        }
        let timer = match &mut self.0 {
            Some(timer) if timer.0 == at => timer,
            // The deadline may have been tightened.
            stale => stale.insert(Box::new((at, runtime.sleep_until(at)))),
        };
        timer.1.as_mut().poll(cx).is_ready()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NONE: Option<(Instant, Instant)> = None;

    fn ramp() -> (Instant, Instant) {
        let begins = Instant::now();
        (begins, begins + Duration::from_secs(100))
    }

    #[test]
    fn connections_leave_evenly_however_many_there_are() {
        for count in [5_usize, 20, 1000] {
            let (begins, ends) = ramp();
            let at = |slot| Rank { slot, is_late: false }.moment(begins, ends).duration_since(begins);
            let mut moments: Vec<_> = (0..count).map(at).collect();
            moments.push(Duration::ZERO);
            moments.push(ends - begins);
            moments.sort();
            let widest = moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            let even = (ends - begins) / u32::try_from(count).unwrap();
            assert!(widest < even * 2, "{count} leave up to {widest:?} apart");
        }
    }

    #[test]
    fn without_a_ramp_all_leave_together() {
        let rank = Rank::default();
        assert_eq!(Departure::of(rank, Phase::Draining, NONE), Departure::Open);
        assert_eq!(Departure::of(rank, Phase::Closing, NONE), Departure::Now);
    }

    #[test]
    fn who_came_late_leaves_when_nobody_is_expected_any_more() {
        let late = Rank { slot: 0, is_late: true };
        assert_eq!(Departure::of(late, Phase::Draining, Some(ramp())), Departure::Open);
        assert_eq!(Departure::of(late, Phase::Spreading, Some(ramp())), Departure::Now);
    }

    #[test]
    fn the_end_of_the_ramp_is_everyones() {
        assert_eq!(Departure::of(Rank::default(), Phase::Closing, Some(ramp())), Departure::Now);
    }

    #[test]
    fn a_nearer_end_moves_the_moment() {
        let (begins, ends) = ramp();
        let rank = Rank { slot: 2, is_late: false };
        assert!(rank.moment(begins, ends - Duration::from_secs(50)) < rank.moment(begins, ends));
    }
}
