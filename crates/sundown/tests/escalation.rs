//! What signals mean, who observes them, and what is left of them when the shutdown is over: in virtual time.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sundown::{Builder, Environment, Escalation, Gate, Grace, Reason, Report, Shutdown, Signal, Urgency};
use sundown_testkit::{
    Recorder,
    simulation::{Ending, Exit, Simulation, World},
};

const GRACE: Duration = Duration::from_secs(10);
/// Until when a repeated signal counts as the same one.
const REPEAT: Duration = Duration::from_millis(200);
/// Longer than any shutdown here: who is still there then has not been ended.
const LONG: Duration = Duration::from_secs(60);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn process(world: &World) -> Builder {
    Shutdown::process(world.runtime()).grace(GRACE)
}

fn simulate<T>(main: impl Fn(&World) -> T) -> Ending<T> {
    Simulation::seeded(1).run(main)
}

/// Sends a signal of which nothing is a repeat, and lets it be heard.
fn signal(world: &World, signal: Signal) {
    world.signal(signal);
    world.advance(REPEAT);
}

// ---- the table

#[test]
fn a_table_of_ones_own_replaces_the_default() {
    let report = simulate(|world| {
        let gate = Gate::new();
        let table = Escalation::none().on(Signal::Quit, [Urgency::Begin]).on(Signal::Term, [Urgency::Hurry]);
        let shutdown = process(world).escalation(table).component("gate", gate.clone()).start().unwrap();
        let _inside = gate.enter().unwrap();
        world.terminate(GRACE);
        shutdown.finished_blocking()
    })
    .returned();
    assert_eq!(report.reason, Reason::Signal(Signal::Term));
    let claimed = report.steps.iter().find(|step| step.step == "claim").unwrap();
    assert_eq!(claimed.at, Duration::ZERO, "there was no drain: {report}");
}

#[test]
fn a_swallowed_signal_does_nothing_and_one_that_is_left_what_it_always_does() {
    let table = || Escalation::default().on(Signal::Hup, []).leave(Signal::Quit);
    let ending = simulate(|world| {
        let shutdown = process(world).escalation(table()).start().unwrap();
        signal(world, Signal::Hup);
        let running = !shutdown.watch().is_draining();
        world.recorder().note(format!("running {running}"));
        signal(world, Signal::Quit);
        unreachable!("SIGQUIT ends the process");
    });
    assert!(matches!(ending.exit, Exit::<()>::Signalled(Signal::Quit)), "{ending:?}");
    let ending = simulate(|world| {
        let shutdown = process(world).escalation(table()).start().unwrap();
        signal(world, Signal::Hup);
        shutdown.watch().is_draining()
    });
    assert!(!ending.returned());
}

#[test]
fn a_signal_may_exit_at_once_and_shows_as_the_code() {
    let ending = simulate(|world| {
        let table = Escalation::default().on(Signal::Usr1, [Urgency::Exit]);
        let shutdown = process(world).escalation(table).start().unwrap();
        signal(world, Signal::Usr1);
        drop(shutdown);
    });
    assert_eq!(ending.exit, Exit::Exited(128 + i32::from(Signal::Usr1.number())));
}

#[test]
fn a_table_that_cannot_work_is_refused_and_so_is_one_of_an_embedded_shutdown() {
    simulate(|world| {
        let falls = Escalation::default().on(Signal::Int, [Urgency::Exit, Urgency::Hurry]);
        let refused = process(world).escalation(falls).start().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "SIGINT asks for exit, hurry: each has to be more than the one before it"
        );
        let embedded = || Shutdown::embedded(world.runtime()).grace(GRACE);
        for mistake in [
            embedded().escalation(Escalation::default()),
            embedded().on_signal(Signal::Hup, |_| async {}),
            embedded().keep_process(),
        ] {
            let refused = mistake.start().unwrap_err().to_string();
            assert!(refused.starts_with("an embedded shutdown owns no signals and no exit"), "{refused}");
        }
        // And the process is still to be had.
        drop(process(world).keep_process().start().unwrap());
    })
    .returned();
}

// ---- observers

/// Notes the signal when it is observed, and again after so much time.
fn noting(builder: Builder, signal: Signal, takes: Duration, world: &World, events: &Recorder) -> Builder {
    let (world, events) = (world.clone(), events.clone());
    builder.on_signal(signal, move |observed| {
        events.note(format!("{} begins", observed.signal()));
        let (world, events) = (world.clone(), events.clone());
        async move {
            world.sleep(takes).await;
            events.note(format!("{} ends", observed.signal()));
        }
    })
}

#[test]
fn an_observed_signal_begins_nothing_and_is_heard_while_the_runtime_is_blocked() {
    simulate(|world| {
        let events = world.recorder();
        let builder = noting(process(world), Signal::Hup, Duration::ZERO, world, &events);
        let shutdown = builder.start().unwrap();
        world.block_runtime(true);
        // Soon after each other, and no repeat all the same: what the first has read may be old by the second.
        world.signal(Signal::Hup);
        world.advance(ms(50));
        world.signal(Signal::Hup);
        world.advance(ms(50));
        assert_eq!(events.events().len(), 4, "{events}");
        assert!(!shutdown.watch().is_draining());
        world.block_runtime(false);
        drop(shutdown);
    })
    .returned();
}

#[test]
fn observations_run_one_after_another_in_the_order_of_the_arrivals() {
    simulate(|world| {
        let events = world.recorder();
        let builder = noting(process(world), Signal::Tstp, ms(5_000), world, &events);
        let shutdown = noting(builder, Signal::Cont, ms(10), world, &events).start().unwrap();
        for sent in [Signal::Tstp, Signal::Cont, Signal::Tstp, Signal::Cont] {
            signal(world, sent);
        }
        world.advance(LONG);
        let noted: Vec<_> = events.events().into_iter().map(|event| event.what).collect();
        assert_eq!(
            noted,
            [
                "SIGTSTP begins",
                "SIGTSTP ends",
                "SIGTSTP begins",
                "SIGTSTP ends",
                "SIGCONT begins",
                "SIGCONT ends"
            ],
            "what waits is one, and the last to arrive is the last"
        );
        drop(shutdown);
    })
    .returned();
}

#[test]
fn an_observer_of_a_signal_that_begins_runs_beside_the_shutdown() {
    let report = simulate(|world| {
        let events = world.recorder();
        let shutdown = noting(process(world), Signal::Term, ms(1), world, &events)
            .component("gate", Gate::new())
            .at_release("late", world.sleep(ms(100)))
            .start()
            .unwrap();
        world.terminate(GRACE);
        let report = shutdown.finished_blocking();
        assert!(events.has("SIGTERM ends"), "{events}");
        report
    })
    .returned();
    assert_eq!(report.warnings, Vec::<String>::new());
}

#[test]
fn an_observer_that_panics_or_hangs_is_named_and_costs_nobody_else_anything() {
    let report = simulate(|world| {
        let shutdown = process(world)
            .on_signal(Signal::Hup, |_| async { panic!("no such file") })
            .on_signal(Signal::Usr1, |_| std::future::pending())
            .on_signal(Signal::Usr2, |_| async {})
            .start()
            .unwrap();
        for sent in [Signal::Hup, Signal::Usr1, Signal::Usr2] {
            signal(world, sent);
        }
        world.terminate(GRACE);
        shutdown.finished_blocking()
    })
    .returned();
    assert_eq!(
        report.warnings,
        [
            "what observes SIGHUP panicked: no such file",
            "what observes SIGUSR1 had not ended",
            "SIGUSR2 was not observed: it had to wait for SIGUSR1",
        ]
    );
    assert!(report.is_clean() && report.took < ms(1_000), "{report}");
}

#[test]
fn an_observer_may_let_the_signal_act() {
    let ending = simulate(|world| {
        let events = world.recorder();
        let shutdown = process(world)
            .on_signal(Signal::Cont, |observed| async move { observed.act_by_default() })
            .on_signal(Signal::Hup, |observed| async move { observed.act_by_default() })
            .start()
            .unwrap();
        signal(world, Signal::Cont);
        events.note("SIGCONT does nothing");
        signal(world, Signal::Hup);
        drop(shutdown);
    });
    assert_eq!(ending.exit, Exit::Signalled(Signal::Hup));
    assert_eq!(ending.took, REPEAT, "and not by the other");
}

// ---- afterwards

#[test]
fn a_process_that_is_kept_goes_on_and_its_signals_do_what_they_did() {
    let ending = simulate(|world| {
        let keeping = || process(world).keep_process().start().unwrap();
        let shutdown = keeping();
        shutdown.begin("the first stage is over");
        assert!(shutdown.finished_blocking().is_clean());
        world.advance(LONG);
        // Another can be started, and dropped.
        drop(keeping());
        world.advance(LONG);
        world.signal(Signal::Term);
        unreachable!("SIGTERM ends the process");
    });
    assert!(matches!(ending.exit, Exit::<()>::Signalled(Signal::Term)), "{ending:?}");
    assert!(ending.took >= LONG * 2);
}

#[test]
fn a_signal_that_asks_for_the_end_of_a_process_that_would_be_kept_has_it() {
    for sent in [Signal::Term, Signal::Int] {
        let ending = simulate(|world| {
            let gate = Gate::new();
            let shutdown = process(world).keep_process().component("gate", gate.clone()).start().unwrap();
            let _inside = gate.enter().unwrap();
            shutdown.begin("a new configuration");
            world.advance(ms(100));
            world.signal(sent);
            let report = shutdown.finished_blocking();
            assert_eq!(report.reason, "a new configuration".into());
            world.advance(LONG);
        });
        assert_eq!(ending.exit, Exit::Exited(1), "one was still inside");
        assert!(ending.took < GRACE + ms(100), "{ending:?}");
    }
}

#[test]
fn no_signal_is_lost_between_a_shutdown_and_what_comes_after() {
    Simulation::sweep(0..300, |simulation| {
        let seed = simulation.seed();
        let ending = simulation.run(|world| {
            // For every other seed at the very moment of the last step's end, in whatever order.
            let at = match seed % 2 {
                0 => ms(1),
                _ => Duration::from_micros(seed * 20),
            };
            world.delay_threads(ms(2) * (seed % 2) as u32);
            let shutdown =
                process(world).keep_process().at_release("hook", world.sleep(ms(1))).start().unwrap();
            let theirs = world.clone();
            world.spawn("platform", move || {
                theirs.advance(at);
                theirs.signal(Signal::Term);
            });
            shutdown.begin("a new configuration");
            let report = shutdown.finished_blocking();
            world.advance(LONG);
            report.took
        });
        assert!(
            matches!(ending.exit, Exit::Signalled(Signal::Term) | Exit::Exited(0)),
            "SIGTERM was lost: {}",
            ending.exit
        );
    });
}

// ---- exit codes

/// How a process ends whose `main` does not come back, with this function for its code.
fn exit_of(map: impl Fn(&Report) -> u8 + Send + Sync + Clone + 'static) -> Exit<()> {
    simulate(|world| {
        let shutdown = process(world).exit_code(map.clone()).start().unwrap();
        world.terminate(GRACE);
        shutdown.finished_blocking();
        world.advance(LONG);
    })
    .exit
}

#[test]
fn the_programs_own_exit_code_holds_for_a_main_that_does_not_come_back() {
    let shows = |report: &Report| match report.reason {
        Reason::Signal(signal) if report.is_clean() => signal.exit_status(),
        _ => report.exit_status(),
    };
    assert_eq!(exit_of(shows), Exit::Exited(143));
    assert_eq!(exit_of(|_| panic!("no such code")), Exit::Exited(0));
    assert_eq!(
        exit_of(|report| 7 + report.exit_status()),
        Exit::Exited(7),
        "and it may ask for the usual one"
    );
}

#[test]
fn a_function_for_the_exit_code_that_hangs_keeps_no_process() {
    let ending = simulate(|world| {
        let theirs = world.clone();
        let hangs = move |_: &Report| {
            theirs.advance(LONG);
            9
        };
        let shutdown = process(world).exit_code(hangs).start().unwrap();
        world.terminate(GRACE);
        shutdown.finished_blocking();
        world.advance(LONG);
    });
    assert_eq!(ending.exit, Exit::Exited(0));
}

#[test]
fn the_programs_own_exit_code_is_what_a_report_gives() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let status = simulate(move |world| {
        let count = count.clone();
        let map = move |_: &Report| {
            count.fetch_add(1, Ordering::Relaxed);
            75
        };
        let shutdown = Shutdown::embedded(world.runtime()).grace(GRACE).exit_code(map).start().unwrap();
        shutdown.begin("a test");
        shutdown.finished_blocking().exit_status()
    });
    assert_eq!((status.returned(), asked.load(Ordering::Relaxed)), (75, 1));
}

// ---- no grace

#[test]
fn where_the_platform_gives_no_grace_the_shutdown_does_what_it_can_and_says_so() {
    let ending = simulate(|world| {
        world.set_environment(Environment::empty().with_variable("RAILWAY_SERVICE_ID", "6f1d"));
        let gate = Gate::new();
        let shutdown = Shutdown::process(world.runtime()).component("gate", gate.clone()).start().unwrap();
        let inside = gate.enter().unwrap();
        world.signal(Signal::Term);
        world.advance(ms(20));
        drop(inside);
        shutdown.finished_blocking()
    });
    assert!(ending.took < ms(100), "{ending:?}");
    let report = ending.returned();
    assert_eq!(report.grace.to_string(), "0 s (default of Railway, seen by RAILWAY_SERVICE_ID)");
    assert_eq!(
        report.warnings,
        [
            "there is no grace here (default of Railway, seen by RAILWAY_SERVICE_ID): what was done is best effort, within 500 ms"
        ]
    );
    assert!(report.is_clean(), "{report}");
}

#[test]
fn without_a_grace_whoever_hangs_is_not_waited_for_beyond_the_effort() {
    let ending = simulate(|world| {
        let gate = Gate::new();
        let none = Grace::named("our own cluster", Duration::ZERO);
        let shutdown =
            Shutdown::process(world.runtime()).grace(none).component("gate", gate.clone()).start().unwrap();
        let _inside = gate.enter().unwrap();
        world.signal(Signal::Term);
        shutdown.finished_blocking();
        world.advance(LONG);
    });
    assert!(matches!(ending.exit, Exit::Exited(1)), "{ending:?}");
    assert!(ending.took < ms(500), "{ending:?}");
}
