//! In which order batches are tried, how often, and how long each attempt may take.
//!
//! 1. Every batch is tried once before any is tried again, and no first attempt may use up the time of the others: a
//!    batch that fails does not starve those behind it. (Where all hang, and there are more batches than the time has
//!    250 ms, the last are not tried: less time for each would be of use to none.)
//! 2. No attempt and no wait goes past the time there is, which is asked for anew each time: the deadline is live.
//! 3. Waits grow and are spread at random, so that a crowd of instances that go down together does not knock at a
//!    restarting monitor in step. A time that the server names comes on top: none at all is no leave to knock at once.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    batch::{Batch, Batches},
    verdict::{Again, Verdict},
};

/// What an attempt gets at least, if it is there: a handshake and a reply over a hundred milliseconds of distance, and
/// twice into the smallest slice that the core reserves.
const LEAST: Duration = Duration::from_millis(250);

/// A wait that does not fit is cut short, to leave this much for one last attempt.
const LAST: Duration = Duration::from_millis(100);

/// Less is not worth an attempt.
const NOTHING: Duration = Duration::from_millis(5);

/// The first wait, doubled with each attempt.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Delivers batches as long as there is time left. `attempt` posts one within a time, and sees to what became of it.
pub(super) fn deliver<I: ExactSizeIterator<Item = Vec<u8>>>(
    mut batches: Batches<I>,
    left: impl Fn() -> Duration,
    mut attempt: impl FnMut(&Batch, Duration) -> Verdict,
) {
    let mut waiting = Vec::new();
    while left() > NOTHING
        && let Some(batch) = batches.next()
    {
        let time = left();
        if time <= NOTHING {
            return;
        }
        // One share for each batch, and one for what has to be tried again.
        let verdict = attempt(&batch, share(time, batches.after(&batch) + 2));
        waiting.extend(Waiting::after(batch, 1, &verdict, left()));
    }
    while let Some(next) = earliest(&mut waiting) {
        thread::sleep(next.until.saturating_duration_since(Instant::now()).min(left()));
        let time = left();
        if time <= NOTHING {
            return;
        }
        let verdict = attempt(&next.batch, share(time, waiting.len() + 1));
        waiting.extend(Waiting::after(next.batch, next.attempts + 1, &verdict, left()));
    }
}

/// A batch that is to be tried again.
struct Waiting {
    batch: Batch,
    attempts: u32,
    until: Instant,
}

impl Waiting {
    /// `None` if there is no need, no hope or no time for another attempt.
    fn after(batch: Batch, attempts: u32, verdict: &Verdict, left: Duration) -> Option<Self> {
        let wait = match verdict {
            Ok(_) => return None,
            Err(failure) => match failure.again {
                Again::Never => return None,
                Again::Soon => backoff(attempts, fastrand::f64()),
                Again::After(wait) => wait.saturating_add(backoff(attempts, fastrand::f64())),
            },
        };
        let wait = fit(wait, left)?;
        Some(Waiting { batch, attempts, until: Instant::now() + wait })
    }
}

fn earliest(waiting: &mut Vec<Waiting>) -> Option<Waiting> {
    let (at, _) = waiting.iter().enumerate().min_by_key(|(_, next)| next.until)?;
    Some(waiting.swap_remove(at))
}

/// An equal part of the time, but not less than is of use.
fn share(time: Duration, parts: usize) -> Duration {
    (time / u32::try_from(parts).unwrap_or(u32::MAX)).max(LEAST).min(time)
}

/// How long to wait after so many attempts: the upper half of the doubled wait, at random.
fn backoff(attempts: u32, random: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << (attempts - 1).min(16));
    doubled.min(LONGEST_WAIT).mul_f64(0.5 + random / 2.0)
}

/// The wait, cut so that one last attempt fits.
fn fit(wait: Duration, left: Duration) -> Option<Duration> {
    let most = left.checked_sub(LAST)?;
    Some(wait.min(most))
}

#[cfg(test)]
mod tests {
    use super::{super::verdict::Failure, *};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn waits_double_up_to_a_second_and_are_spread_over_their_upper_half() {
        let longest: Vec<_> = [1, 2, 3, 6, 99].map(|attempts| backoff(attempts, 1.0)).into();
        assert_eq!(longest, [ms(50), ms(100), ms(200), ms(1000), ms(1000)]);
        assert_eq!(backoff(1, 0.0), ms(25));
    }

    #[test]
    fn a_server_that_names_no_time_at_all_is_not_asked_without_a_pause() {
        let until = Instant::now() + ms(300);
        let left = || until.saturating_duration_since(Instant::now());
        let mut attempts = 0;
        deliver(Batches::new([b"{}".to_vec()].into_iter(), 1, 64), left, |_, _| {
            attempts += 1;
            let (why, again) = ("status 503".into(), Again::After(Duration::ZERO));
            Err(Failure { why, in_doubt: false, again })
        });
        // After 25, 50 and 100 ms at least, and at the end.
        assert!((1..=10).contains(&attempts), "{attempts} attempts");
    }

    #[test]
    fn a_time_that_the_server_names_is_spread_too() {
        let batch = || Batches::new([b"{}".to_vec()].into_iter(), 1, 64).next().unwrap();
        let after = |wait| Err(Failure { why: String::new(), in_doubt: false, again: Again::After(wait) });
        for wait in [Duration::ZERO, ms(1000)] {
            let earliest = Instant::now() + wait + ms(25);
            let waiting = Waiting::after(batch(), 1, &after(wait), ms(60_000)).unwrap();
            assert!(waiting.until >= earliest);
        }
        assert!(Waiting::after(batch(), 1, &after(Duration::MAX), ms(1000)).is_some());
    }

    #[test]
    fn a_wait_that_does_not_fit_leaves_time_for_one_last_attempt() {
        assert_eq!(fit(ms(50), ms(1000)), Some(ms(50)));
        assert_eq!(fit(ms(60_000), ms(1000)), Some(ms(900)));
        assert_eq!(fit(ms(50), ms(99)), None);
    }

    #[test]
    fn a_share_is_of_use_and_never_more_than_there_is() {
        assert_eq!(share(ms(3000), 3), ms(1000));
        assert_eq!(share(ms(1000), 100), ms(250));
        assert_eq!(share(ms(90), 3), ms(90));
    }
}
