//! How a matrix is played: what is done when, and who looks.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    thread::{self, Scope},
    time::Duration,
};

use rustix::process::Signal;
use sundown_tests::promised;

use super::{
    Case, rows,
    stage::{Act, Stage, Step},
};

/// A case on its way.
struct Pending {
    name: String,
    id: String,
    act: Act,
}

/// The cases, and those that have failed.
struct Course<'a> {
    pending: Vec<Pending>,
    failed: &'a Mutex<Vec<String>>,
}

/// Notes it if a case fails.
fn guarded<T>(failed: &Mutex<Vec<String>>, name: &str, act: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(act)).ok();
    if done.is_none() {
        eprintln!("so failed row {name}");
        failed.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }
    done
}

impl<'a> Course<'a> {
    /// Brings every connection into its state.
    fn begin(
        failed: &'a Mutex<Vec<String>>,
        stage: &mut Stage,
        cases: impl Iterator<Item = &'static Case>,
    ) -> Self {
        let (rows, is_blocked) = (rows(), stage.is_blocked);
        let mut pending = Vec::<Pending>::new();
        for (number, case) in cases.filter(|case| case.is_played(is_blocked)).enumerate() {
            let row = rows.iter().find(|(row, _)| *row == case.row).map_or("", |(_, row)| row);
            let name = format!("{}, {row}: {}", case.row, case.state);
            let id = format!("{:02}-{number:03}", case.row);
            stage.id.clone_from(&id);
            let act = guarded(failed, &name, || (case.begin)(stage));
            pending.extend(act.map(|act| Pending { name, id, act }));
        }
        Course { pending, failed }
    }

    /// Takes the step of every case that has this one to take.
    fn go_on(&mut self, stage: &mut Stage, now: fn(Act) -> Result<Step, Act>) {
        for Pending { name, id, act } in std::mem::take(&mut self.pending) {
            let act = match now(act) {
                Ok(step) => {
                    stage.id.clone_from(&id);
                    guarded(self.failed, &name, || step(stage))
                }
                Err(act) => Some(act),
            };
            self.pending.extend(act.map(|act| Pending { name, id, act }));
        }
    }

    /// Has those looked at that have nothing more to do, each on a thread.
    fn look<'scope>(&mut self, scope: &'scope Scope<'scope, 'a>) {
        for Pending { name, id, act } in std::mem::take(&mut self.pending) {
            let failed = self.failed;
            match act {
                Act::End(look) => drop(scope.spawn(move || guarded(failed, &name, look))),
                act => self.pending.push(Pending { name, id, act }),
            }
        }
    }
}

/// Plays every case that there is.
///
/// # Panics
///
/// With the rows whose cases failed; what each has to say is printed before.
pub(super) fn play(mut stage: Stage, cases: impl Iterator<Item = &'static Case>) {
    let failed = Mutex::new(Vec::new());
    let mut course = Course::begin(&failed, &mut stage, cases);
    let blockers = if stage.is_blocked { stage.block() } else { Vec::new() };
    course.go_on(&mut stage, |act| match act {
        Act::BeforeTheSignal(step) => Ok(step),
        act => Err(act),
    });
    let signalled = thread::scope(|scope| {
        course.look(scope);
        let signalled = stage.service.terminate();
        stage.monitor.wait_for_draining();
        if !stage.is_blocked {
            stage.wait_for_the_turn();
        }
        course.go_on(&mut stage, |act| match act {
            Act::Draining(step) => Ok(step),
            act => Err(act),
        });
        course.look(scope);
        course.go_on(&mut stage, |act| match act {
            Act::Quiet(step) => Ok(step),
            act => Err(act),
        });
        stage.service.child.signal(Signal::INT);
        stage.monitor.wait_for_jobs();
        course.go_on(&mut stage, |act| match act {
            Act::Claimed(step) => Ok(step),
            act => Err(act),
        });
        course.look(scope);
        signalled
    });
    for (id, client) in blockers {
        client.only_reply("GET").assert_success("handed-over", &id);
    }
    let ending = stage.service.end();
    for Pending { name, act, .. } in course.pending {
        let Act::Gone(look) = act else { panic!("row {name} never came to its end") };
        guarded(&failed, &name, look);
    }
    ending.assert_within(promised(Duration::from_secs(10)), signalled);
    for id in stage.refused {
        assert!(!ending.has(&format!("S {id}")), "{id} was begun\n{}", ending.text());
    }
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failed.is_empty(), "{} rows: {failed:#?}\n{}", failed.len(), ending.text());
}
