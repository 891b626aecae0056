//! Every public type can be sent, shared and moved, and so can every future: who loses one of these breaks the crate's
//! users. A type that is exported and not pinned here fails the test by its name.

use std::{any::type_name, collections::BTreeSet};

use sundown::*;

/// A type with all three, by its name.
fn pinned<T: Send + Sync + Unpin>() -> String {
    named::<T>()
}

/// One that a single thread has at a time, by its name.
fn sent<T: Send + Unpin>() -> String {
    named::<T>()
}

/// Any type, by its name.
fn named<T: ?Sized>() -> String {
    let path = type_name::<T>().split('<').next().unwrap_or_default();
    path.rsplit([':', ' ']).next().unwrap_or_default().to_owned()
}

/// What `lib.rs` exports.
fn exported() -> BTreeSet<String> {
    let lists = include_str!("../src/lib.rs").split("pub use ").skip(1).map(|rest| rest.split(';').next());
    let words = lists.flatten().flat_map(|list| list.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let is_type = |word: &&str| word.starts_with(char::is_uppercase) && word.contains(char::is_lowercase);
    words.filter(is_type).map(str::to_owned).collect()
}

#[test]
fn every_public_type_keeps_its_auto_traits() {
    let pinned = [
        pinned::<AbortHandle>(),
        pinned::<AddComponentError>(),
        pinned::<BeginError>(),
        pinned::<CallReport>(),
        pinned::<ChildProcess>(),
        pinned::<Claims>(),
        pinned::<Commit<()>>(),
        pinned::<ComponentReport>(),
        pinned::<ComponentSchedule>(),
        pinned::<ComponentSnapshot>(),
        pinned::<CutReport>(),
        pinned::<Deadline>(),
        pinned::<Draining>(),
        pinned::<Environment>(),
        pinned::<Escalation>(),
        pinned::<EscalationError>(),
        pinned::<Fate>(),
        pinned::<Gate>(),
        pinned::<Grace>(),
        pinned::<GraceError>(),
        pinned::<Guard>(),
        pinned::<HandOver>(),
        pinned::<Handle>(),
        pinned::<InFlight>(),
        pinned::<IncompleteJob>(),
        pinned::<Interrupt<()>>(),
        pinned::<Interrupted>(),
        pinned::<InvalidJobId>(),
        pinned::<Job<()>>(),
        pinned::<JobId>(),
        pinned::<JobLine>(),
        pinned::<Jobs<()>>(),
        pinned::<JobsReport>(),
        pinned::<JoinError>(),
        pinned::<JoinHandle<()>>(),
        pinned::<Key>(),
        pinned::<LeftOver>(),
        pinned::<Notice>(),
        pinned::<NotifierReport>(),
        pinned::<NotifyError>(),
        pinned::<Observed>(),
        pinned::<OnDrain>(),
        pinned::<Order>(),
        pinned::<Outcome>(),
        pinned::<Overdue>(),
        pinned::<Past>(),
        pinned::<PlanError>(),
        pinned::<Progress>(),
        pinned::<Provenance>(),
        pinned::<Readiness>(),
        pinned::<Reason>(),
        pinned::<Receipt>(),
        pinned::<RemoveComponentError>(),
        pinned::<Report>(),
        pinned::<Reservation<()>>(),
        pinned::<Reserve>(),
        pinned::<Restart>(),
        pinned::<Schedule>(),
        pinned::<Shutdown>(),
        pinned::<Signal>(),
        pinned::<SignalError>(),
        pinned::<Snapshot>(),
        pinned::<Spawned<std::future::Ready<()>>>(),
        pinned::<StartError>(),
        pinned::<Step>(),
        pinned::<StepReport>(),
        pinned::<StepSchedule>(),
        pinned::<Taken>(),
        pinned::<TaskBuilder<'_>>(),
        pinned::<TaskCounts>(),
        pinned::<TaskEnd>(),
        pinned::<TaskFate>(),
        pinned::<Tasks>(),
        pinned::<Then>(),
        pinned::<Thread>(),
        pinned::<Ticket>(),
        pinned::<Tracked<std::future::Ready<()>>>(),
        pinned::<Turn>(),
        pinned::<Unit>(),
        pinned::<Urgency>(),
        pinned::<Uuid>(),
        pinned::<Watch>(),
        pinned::<When>(),
        // It holds hooks, which are futures.
        sent::<Builder>(),
        // What others implement.
        named::<dyn Accept>(),
        named::<dyn Drainable>(),
        named::<dyn Drive>(),
        named::<dyn Notifier>(),
        named::<dyn Runtime>(),
        named::<dyn Transport>(),
        // An alias.
        "BoxFuture".into(),
    ];
    let (pinned, exported) = (BTreeSet::from(pinned), exported());
    let odd: Vec<_> = pinned.symmetric_difference(&exported).collect();
    assert!(odd.is_empty(), "exported and not pinned, or pinned and not exported: {odd:?}");
}

#[test]
fn what_others_implement_can_be_kept_wherever_the_shutdown_goes() {
    let _ = [pinned::<Box<dyn Drainable>>, pinned::<Box<dyn Notifier>>];
    let _ = [pinned::<Box<dyn Runtime>>, pinned::<Box<dyn Transport>>];
    let _ = [sent::<Box<dyn Drive>>, sent::<Box<dyn Accept>>, sent::<BoxFuture<'static, ()>>];
}

/// Checked where it is compiled, and never run.
#[test]
fn every_future_can_be_sent() {
    fn send(_: impl Future + Send) {}
    fn owned(_: impl Future + Send + 'static) {}
    fn moved(_: impl IntoFuture<IntoFuture: Send + Unpin + 'static>) {}
    let _ = |watch: Watch| {
        owned(watch.draining());
        owned(watch.claimed());
        owned(watch.announced());
        owned(watch.interrupt(std::future::pending::<()>()));
        moved(watch);
    };
    let _ = |gate: Gate| {
        send(gate.closed());
        send(gate.empty());
        send(gate.quiet());
    };
    let _ = |jobs: Jobs<()>, job: Job<()>, ticket: Ticket| {
        send(jobs.closed());
        send(jobs.empty());
        send(jobs.conclude());
        owned(job.taken());
        owned(ticket.decided());
    };
    let _ = |handle: Handle, mut progress: Progress| {
        owned(handle.finished());
        owned(handle.remove_component("cache"));
        send(progress.changed());
    };
    let _ = |child: ChildProcess| send(child.ended());
}
