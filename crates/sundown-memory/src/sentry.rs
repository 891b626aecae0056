//! The thread that looks. It allocates nothing until it raises the alarm, and it sleeps in between: until the next look,
//! the claim, or the end of the watch, whichever comes first.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use memmap2::MmapMut;
use sundown::{Handle, Reason, host::swallow};

use crate::{
    Trouble,
    forecast::{OFTEN, RARELY, Rule, Trend},
    level::Level,
};

/// Whom to tell what keeps it from seeing.
pub(crate) type Tell = Arc<dyn Fn(&Trouble) + Send + Sync>;

/// A limit, and how the use comes nearer to it.
struct Limit {
    level: Level,
    trend: Trend,
    next: Duration,
    /// When it was told that this limit is not seen, until it is seen [`RARELY`] or more after that: a file that fails now
    /// and then is not told of all the time.
    told: Option<Instant>,
}

pub(crate) struct Sentry {
    limits: Vec<Limit>,
    rule: Rule,
    ballast: Option<MmapMut>,
    tell: Tell,
    /// The one call of `tell` that there is at a time.
    telling: Option<JoinHandle<()>>,
}

impl Sentry {
    pub(crate) fn new(levels: Vec<Level>, rule: Rule, ballast: Option<MmapMut>, tell: Tell) -> Self {
        let limit = |level| Limit { level, trend: Trend::default(), next: Duration::ZERO, told: None };
        Sentry { limits: levels.into_iter().map(limit).collect(), rule, ballast, tell, telling: None }
    }

    /// Looks until there is an alarm, or nothing to look for any more.
    pub(crate) fn run(mut self, shutdown: &Handle, stopped: &AtomicBool) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        // Up to the claim memory may run out: what is handed over then is not lost.
        let mut claimed = pin!(shutdown.watch().claimed());
        let mut claimed = || claimed.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        loop {
            let next = self.look(Instant::now());
            // Last before the alarm: whoever has ended the watch by then gets none. Acquire: pairs with the store of
            // whoever ends it.
            if claimed() || stopped.load(Ordering::Acquire) {
                return;
            }
            let Some(next) = next else { break };
            // Whoever wakes it before the time has a reason, or costs a look.
            thread::park_timeout(next);
        }
        drop(self.ballast.take());
        shutdown.begin(Reason::Memory);
        shutdown.hurry();
    }

    /// Looks at every limit. Returns when the next look is due, or nothing if there is an alarm.
    fn look(&mut self, now: Instant) -> Option<Duration> {
        // A thread that has ended keeps its stack for as long as somebody could join it.
        self.telling.take_if(|telling| telling.is_finished());
        let mut next = RARELY;
        for limit in &mut self.limits {
            let reading = limit.level.read();
            let earlier = limit.told.is_some_and(|told| now.saturating_duration_since(told) >= RARELY);
            if reading.is_ok() && earlier {
                limit.told = None;
            }
            match reading {
                Ok(Some(reading)) => {
                    if limit.trend.handle_reading(now, reading, &self.rule) {
                        return None;
                    }
                    limit.next = limit.trend.next_in(reading);
                }
                Ok(None) => {
                    limit.trend = Trend::default();
                    limit.next = RARELY;
                }
                Err(failure) => {
                    // It may be for the moment, or for ever.
                    limit.next = (limit.next * 2).clamp(OFTEN, RARELY);
                    // While another is told, or where there is no thread to tell on, a later look will do.
                    if limit.told.is_none() && self.telling.is_none() {
                        self.telling = tell_beside(self.tell.clone(), limit.level.trouble(failure));
                        limit.told = self.telling.is_some().then_some(now);
                    }
                }
            }
            next = next.min(limit.next);
        }
        Some(next)
    }
}

/// Foreign code, on a thread of its own: it may never return.
fn tell_beside(tell: Tell, trouble: Trouble) -> Option<JoinHandle<()>> {
    let run = move || swallow(|| tell(&trouble));
    thread::Builder::new().name("sundown-trouble".into()).spawn(run).ok()
}

/// Wakes the thread at the claim.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};

    use super::*;
    use crate::{level::Version, tree::Tree};

    const BOUND: Duration = Duration::from_secs(20);

    /// A watch of two groups, and what it tells.
    fn sentry(tree: &Tree) -> (Sentry, Receiver<String>) {
        let level = |group: &str| {
            tree.write(&format!("{group}/memory.max"), "268435456\n");
            tree.write(&format!("{group}/memory.stat"), "inactive_file 0\n");
            tree.write(&format!("{group}/memory.current"), "4096\n");
            Level::open(tree.path(group), Version::Two).expect("the files are there")
        };
        let levels = ["inner", "outer"].map(level).into();
        let (tell, told) = mpsc::channel();
        let tell: Tell = Arc::new(move |trouble: &Trouble| drop(tell.send(trouble.to_string())));
        let rule = Rule { lead: Duration::from_millis(500), full_at: 95 };
        (Sentry::new(levels, rule, None, tell), told)
    }

    /// Looks at this moment, and returns what was told of it.
    fn told_by_a_look(sentry: &mut Sentry, told: &Receiver<String>, now: Instant) -> Option<String> {
        assert!(sentry.look(now).is_some(), "no alarm");
        if let Some(telling) = sentry.telling.take() {
            telling.join().expect("it does not throw");
        }
        told.try_recv().ok()
    }

    #[test]
    fn it_is_told_of_each_group_that_is_not_seen() {
        let tree = Tree::new();
        let (mut sentry, told) = sentry(&tree);
        tree.write("inner/memory.current", "?");
        let start = Instant::now();
        let line = told_by_a_look(&mut sentry, &told, start).expect("it is not seen");
        assert!(line.starts_with(&format!("the limit of {} is not", tree.path("inner").display())), "{line}");
        tree.write("outer/memory.max", "?");
        let line = told_by_a_look(&mut sentry, &told, start + OFTEN).expect("nor is this");
        assert!(line.starts_with(&format!("the limit of {} is not", tree.path("outer").display())), "{line}");
        assert_eq!(told_by_a_look(&mut sentry, &told, start + RARELY * 2), None, "both were told");
    }

    #[test]
    fn it_is_told_again_after_it_went_well() {
        let tree = Tree::new();
        let (mut sentry, told) = sentry(&tree);
        let start = Instant::now();
        let mut is_told = |text: &str, after: Duration| {
            tree.write("inner/memory.current", text);
            told_by_a_look(&mut sentry, &told, start + after).is_some()
        };
        assert!(is_told("?", Duration::ZERO));
        assert!(!is_told("4096\n", OFTEN));
        assert!(!is_told("?", OFTEN * 2), "so soon after the first");
        assert!(!is_told("?", RARELY), "it did not go well since");
        assert!(!is_told("4096\n", RARELY * 2));
        assert!(is_told("?", RARELY * 2 + OFTEN));
    }

    #[test]
    fn what_comes_while_another_is_told_is_told_after_that() {
        let tree = Tree::new();
        let (mut sentry, _) = sentry(&tree);
        let ((release, held), (tell, told)) = (mpsc::channel::<()>(), mpsc::channel());
        let held = std::sync::Mutex::new(held);
        sentry.tell = Arc::new(move |trouble: &Trouble| {
            let _ = tell.send(trouble.to_string());
            let _ = held.lock().map(|held| held.recv());
        });
        tree.write("inner/memory.current", "?");
        tree.write("outer/memory.current", "?");
        let start = Instant::now();
        assert!(sentry.look(start).is_some());
        assert!(told.recv_timeout(BOUND).is_ok_and(|line| line.contains("inner")));
        assert!(sentry.look(start + OFTEN).is_some());
        assert_eq!(sentry.limits[1].told, None, "one at a time");
        drop(release);
        sentry.telling.take().expect("it was told").join().expect("it does not throw");
        assert!(sentry.look(start + OFTEN * 2).is_some());
        assert!(told.recv_timeout(BOUND).is_ok_and(|line| line.contains("outer")));
    }
}
