//! A task that is started again.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use super::tree::Group;
use crate::latch::swallow;

/// How often a task is started again, and how long after it ended.
///
/// The first time after a short while, twice as long after each time, up to a longest. A task that has then run for a
/// while is well: its count and its backoff begin anew.
///
/// As it is by default it is started again after 100 ms, five times in a row at most, and is well after 10 s, as
/// [systemd] does with services (`RestartSec`, `StartLimitBurst`, `StartLimitIntervalSec`); it waits no longer than
/// 5 minutes, as [Kubernetes] does.
///
/// [systemd]: https://www.freedesktop.org/software/systemd/man/latest/systemd-system.conf.html
/// [Kubernetes]: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    first: Duration,
    longest: Duration,
    times: Option<u32>,
    well_after: Duration,
    after_ends: bool,
}

impl Default for Restart {
    fn default() -> Self {
        Restart {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(300),
            times: Some(5),
            well_after: Duration::from_secs(10),
            after_ends: false,
        }
    }
}

impl Restart {
    /// How long to wait the first time, and at the longest. With no time at all it is started again at once.
    #[must_use]
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        (self.first, self.longest) = (first, longest);
        self
    }

    /// How often in a row, at most. Then the task ends as it ended the last time.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// However often it ends.
    #[must_use]
    pub fn forever(mut self) -> Self {
        self.times = None;
        self
    }

    /// After how long a run the count begins anew.
    #[must_use]
    pub fn well_after(mut self, run: Duration) -> Self {
        self.well_after = run;
        self
    }

    /// Also when it ends without an error: what is to run until it is told to stop.
    #[must_use]
    pub fn after_ends(mut self) -> Self {
        self.after_ends = true;
        self
    }

    /// How long to wait before the next start, after so many in a row; `None` if there is none.
    fn wait(&self, before: u32) -> Option<Duration> {
        let allowed = self.times.is_none_or(|times| before < times);
        let doubled = 1_u32.checked_shl(before).unwrap_or(u32::MAX);
        allowed.then(|| self.first.saturating_mul(doubled).min(self.longest))
    }
}

/// How one run ended.
type Run<T> = Result<T, Box<dyn Any + Send>>;

/// Runs what is made, again and again, until it ends well, its restarts are used up, or the group is told to stop.
pub(super) async fn restarting<F, T, E>(
    group: Arc<Group>,
    restart: Restart,
    mut make: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut in_a_row = 0;
    loop {
        let began: Instant = group.runtime.now();
        let ended = run(&mut make).await;
        if matches!(ended, Ok(Ok(_))) && !restart.after_ends {
            return passed_on(ended);
        }
        if group.runtime.now().saturating_duration_since(began) >= restart.well_after {
            in_a_row = 0;
        }
        let Some(wait) = restart.wait(in_a_row) else { return passed_on(ended) };
        // Even without a wait others have their turn, and an abort is heard.
        give_way().await;
        if group.pause(wait).await {
            return passed_on(ended);
        }
        swallow(|| drop(ended));
        in_a_row = in_a_row.saturating_add(1);
        group.count_restart();
    }
}

/// Makes a future and drives it to its end. A panic of either, or of the destructor, is how it ended.
async fn run<F: Future>(make: &mut impl FnMut() -> F) -> Run<F::Output> {
    let mut future = pin!(None);
    let ended = poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if future.is_none() {
                future.set(Some(make()));
            }
            future.as_mut().as_pin_mut().expect("it was made").poll(cx)
        }));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await;
    let dropped = catch_unwind(AssertUnwindSafe(|| future.set(None)));
    let Err(panic) = dropped else { return ended };
    swallow(|| drop(ended));
    Err(panic)
}

fn passed_on<T>(ended: Run<T>) -> T {
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Lets the others of its runtime go first, once.
async fn give_way() {
    let mut given = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_longest_whatever_the_numbers() {
        let ms = Duration::from_millis;
        let restart = Restart::default().backoff(ms(100), ms(1_000)).forever();
        let waits: Vec<_> = (0..6).map(|before| restart.wait(before)).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000].map(|n| Some(ms(n))));
        assert_eq!(restart.wait(u32::MAX), Some(ms(1_000)));
        let endless = restart.backoff(Duration::MAX, Duration::MAX);
        assert_eq!(endless.wait(31), Some(Duration::MAX));
        assert_eq!(restart.times(2).wait(1), Some(ms(200)));
        assert_eq!(restart.times(2).wait(2), None);
        assert_eq!(restart.times(0).wait(0), None);
    }
}
