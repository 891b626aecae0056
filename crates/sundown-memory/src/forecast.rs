//! Decides from readings whether the limit is near, and when to look again. Reads no clock: `now` is an argument.
//!
//! 1. **Near** is less time to the limit, at the present pace, than the hand-over needs; or a share of the limit that is
//!    taken as the limit itself.
//! 2. **One odd reading is no alarm.** One that is near is a suspicion; the next confirms it, if the growth *since the
//!    suspicion* is near, too, and is a suspicion itself if not. So whatever jumps and then stays is no alarm, unless it
//!    stays at the limit; and how long it has stayed says nothing of the growth after it.
//! 3. **Between two looks nothing goes far.** What is left cannot be filled before the next look but one, by a process
//!    that fills it as fast as was measured.

use std::time::{Duration, Instant};

use crate::level::Reading;

/// Over which time the pace is averaged, exponentially: longer than what one request or collection takes, and no longer
/// than the lead, or growth that sets in would be known too late.
const AVERAGED_OVER: Duration = Duration::from_millis(500);

/// How often it is looked near the limit. A reading takes some 10 µs: this is 0.02 % of a core.
pub(crate) const OFTEN: Duration = Duration::from_millis(50);

/// How rarely far from it: limits may be lowered.
pub(crate) const RARELY: Duration = Duration::from_secs(5);

/// From here on, in per cent of the limit, it is looked often.
const NEAR: u8 = 60;

/// The fastest growth that was measured, in bytes a second: one thread that touches fresh pages of 4 KiB.
const FASTEST: u64 = 1000 << 20;

/// The time from the moment at which the limit comes too near until an alarm: the reading that suspects comes up to one
/// interval later and the one that confirms another; one more for a thread that is woken late.
const NOTICED_WITHIN: Duration = OFTEN.saturating_mul(3);

/// What counts as near.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// What must be left when the alarm is raised.
    pub(crate) lead: Duration,
    /// The share of the limit that is as good as the limit, in per cent.
    pub(crate) full_at: u8,
}

impl Rule {
    fn is_full(&self, reading: Reading) -> bool {
        reaches(reading, self.full_at)
    }

    /// Whether the limit comes too soon at this pace, in bytes a second.
    fn is_soon(&self, reading: Reading, pace: f64) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "a byte in a pebibyte")]
        let left = reading.limit.saturating_sub(reading.working_set) as f64;
        left < pace * self.lead.saturating_add(NOTICED_WITHIN).as_secs_f64()
    }
}

/// Whether the working set has come to so many per cent of the limit.
fn reaches(reading: Reading, percent: u8) -> bool {
    u128::from(reading.working_set) * 100 >= u128::from(reading.limit) * u128::from(percent)
}

/// What the readings of one limit have said so far.
#[derive(Debug, Default)]
pub(crate) struct Trend {
    last: Option<(Instant, u64)>,
    /// Bytes a second; what shrinks counts as standing still, so that it does not hide the growth after it.
    pace: f64,
    /// The latest reading that was near and confirmed nothing.
    suspected: Option<(Instant, u64)>,
}

impl Trend {
    /// Takes a reading in. Returns whether it is time to raise the alarm.
    pub(crate) fn handle_reading(&mut self, now: Instant, reading: Reading, rule: &Rule) -> bool {
        if let Some((step, took)) = self.last.and_then(|last| pace_since(last, now, reading)) {
            let weight = 1.0 - (-took / AVERAGED_OVER.as_secs_f64()).exp();
            self.pace = (self.pace + weight * (step - self.pace)).max(0.0);
        }
        self.last = Some((now, reading.working_set));

        if !rule.is_full(reading) && !rule.is_soon(reading, self.pace) {
            self.suspected = None;
            return false;
        }
        let Some(suspected) = self.suspected else {
            self.suspected = Some((now, reading.working_set));
            return false;
        };
        let Some((since, _)) = pace_since(suspected, now, reading) else { return false };
        let confirmed = rule.is_full(reading) || rule.is_soon(reading, since);
        if !confirmed {
            // A rest after a jump must not dilute the growth that comes after the rest.
            self.suspected = Some((now, reading.working_set));
        }
        confirmed
    }

    /// How long after this reading the next one is due.
    pub(crate) fn next_in(&self, reading: Reading) -> Duration {
        if self.suspected.is_some() || reaches(reading, NEAR) {
            return OFTEN;
        }
        let left = reading.limit.saturating_sub(reading.working_set);
        Duration::from_millis((left / 2).saturating_mul(1000) / FASTEST).clamp(OFTEN, RARELY)
    }
}

/// The growth from then to now in bytes a second, and how long that was in seconds; `None` if it was no time.
fn pace_since(then: (Instant, u64), now: Instant, reading: Reading) -> Option<(f64, f64)> {
    let took = now.checked_duration_since(then.0).filter(|took| !took.is_zero())?.as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a byte in a pebibyte")]
    let growth = reading.working_set as f64 - then.1 as f64;
    Some((growth / took, took))
}

#[cfg(test)]
mod tests;
