//! Register against begin: who asks a watch while the shutdown is announced.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Data, block_on, every, join, spawn};
use crate::{
    Deadline, Readiness, Watch,
    host::{Host, System},
    watch::Stages,
};

/// As the conductor announces: the moments, then the flag, then, on another thread, the wakers.
fn announce(stages: &Arc<Stages>, notes: &Data) {
    let now = Instant::now();
    let deadline = Deadline::new(&stages.host, now, now + Duration::from_secs(10));
    notes.write();
    let _ = stages.work_ends.set(deadline.clone());
    let _ = stages.ends.set(deadline);
    stages.draining.set();
    join(spawn(stages, |stages| stages.draining.wake()));
}

fn stages() -> Arc<Stages> {
    let host: Arc<dyn Host> = System::shared();
    Arc::new(Stages::new(host))
}

/// Fails with the flag set before the moments, and as the models of the latch do.
#[test]
fn a_watch_that_is_awaited_while_the_shutdown_begins_resolves_with_its_deadline() {
    every(|| {
        let (stages, notes) = (stages(), Data::new());
        let watch = Watch::new(stages.clone());
        let conductor = spawn(&(stages, notes.clone()), |(stages, notes)| announce(&stages, &notes));
        let deadline = block_on(watch.draining());
        assert!(!deadline.has_passed());
        assert_eq!(notes.seen(), 1);
        join(conductor);
    });
}

/// Fails with the flag set before the moments, or with `Relaxed` in `Latch::is_set` or `Latch::set`.
#[test]
fn who_only_asks_sees_all_of_the_announcement_or_nothing() {
    every(|| {
        let (stages, notes) = (stages(), Data::new());
        let (watch, readiness) = (Watch::new(stages.clone()), Readiness::new(stages.clone()));
        let conductor = spawn(&(stages, notes.clone()), |(stages, notes)| announce(&stages, &notes));
        if watch.is_draining() {
            assert!(!readiness.is_ready(), "once announced, for everybody");
            assert!(readiness.time_left().is_some());
            assert_eq!(notes.seen(), 1);
        }
        join(conductor);
    });
}
