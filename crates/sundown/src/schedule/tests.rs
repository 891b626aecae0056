//! The schedule against the machine, and as it is printed.

use super::*;
use crate::{
    Order,
    machine::{Action, Machine},
};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn component(name: &str, order: Order) -> Ordered {
    (name.to_owned(), order)
}

/// A service with something of everything.
fn service(grace: Duration) -> Schedule {
    let mut phases = Phases::default();
    phases.extend(["ingress", "nobody", "work", "storage"].map(str::to_owned));
    let components = [
        component("database", Order::new().phase("storage").within(secs(1), Overdue::StopWaiting)),
        component("http", Order::new().phase("ingress")),
        component("mails", Order::from(["orders"]).phase("work").within(secs(60), Overdue::Force)),
        component("orders", Order::new().phase("work").hand_over_priority(10)),
        component("metrics", Order::new()),
        component("audit \"all\"", Order::from(["metrics"]).within(secs(3), Overdue::StopTheRest)),
    ];
    let reserves = Reserves::default();
    Schedule::new(Grace::new(grace), &components, &phases, &reserves, Instant::now()).unwrap()
}

#[test]
fn the_text_is_the_one_that_is_written_down() {
    let text = format!("{}\n{}", service(secs(10)), service(Duration::from_millis(300)));
    assert_eq!(text, include_str!("service.txt"), "\n{text}");
}

#[test]
fn the_chart_is_the_one_that_is_written_down() {
    let chart = service(secs(10)).mermaid();
    assert_eq!(chart, include_str!("service.mmd"), "\n{chart}");
}

#[test]
fn a_service_without_components_or_phases_has_a_chart_too() {
    let phases = Phases::default();
    let grace = || Grace::new(secs(10));
    let none = Schedule::new(grace(), &[], &phases, &Reserves::default(), Instant::now()).unwrap();
    assert!(none.mermaid().contains("begin --> r0\n"), "{}", none.mermaid());
    let one = [component("http", Order::new())];
    let one = Schedule::new(grace(), &one, &phases, &Reserves::default(), Instant::now()).unwrap();
    assert!(one.mermaid().contains("begin --> c0\n    c0 --> r0\n"), "{}", one.mermaid());
}

#[test]
fn a_schedule_is_a_record() {
    let record = serde_json::to_value(service(secs(10))).unwrap();
    let http = &record["components"][1];
    assert_eq!((&http["name"], &http["phase"]), (&"http".into(), &"ingress".into()));
    assert_eq!(record["components"][2]["within"][1], "force");
    assert_eq!(record["reserves"][0]["name"], "hand over");
}

#[test]
fn a_plan_for_no_time_or_for_all_time_is_one_all_the_same() {
    for grace in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let schedule = service(grace);
        let last = schedule.reserves.last().unwrap();
        assert_eq!(last.latest_finish, grace.min(LONGEST));
        for it in &schedule.components {
            assert!(it.latest_start <= it.latest_finish && it.latest_finish <= last.latest_finish);
        }
    }
}

/// Numbers that look random, always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn drawn(dice: &mut Dice) -> Vec<Ordered> {
    let all = dice.below(8) as usize;
    let one = |at: usize| {
        let before: Vec<_> = (0..at).filter(|_| dice.below(3) == 0).map(|at| at.to_string()).collect();
        let order = Order::new().after(before);
        let length = Duration::from_millis(1 + dice.below(4_000));
        component(
            &at.to_string(),
            match dice.below(4) {
                0 => order.within(length, Overdue::StopWaiting),
                1 => order.within(length, Overdue::Force),
                _ => order,
            },
        )
    };
    (0..all).map(one).collect()
}

#[test]
fn the_machine_does_with_nobody_draining_what_the_schedule_says() {
    let dice = &mut Dice(6);
    for _ in 0..500 {
        let (components, phases, reserves) = (drawn(dice), Phases::default(), Reserves::default());
        let grace = Duration::from_millis(1_000 + dice.below(20_000));
        let begun = Instant::now();
        let schedule = Schedule::new(Grace::new(grace), &components, &phases, &reserves, begun).unwrap();

        let mut machine = Machine::new(grace, reserves, 0);
        machine.freeze(Plan::new(&components, &phases).unwrap());
        machine.handle_begin(begun, None);
        let mut now = begun;
        let mut closed = vec![None; components.len()];
        loop {
            while let Some(action) = machine.poll_action() {
                let time = now.duration_since(begun);
                match action {
                    Action::Close(at) => closed[at] = Some(time),
                    Action::Cut(at, _) => assert_eq!(time, schedule.components[at].latest_finish),
                    Action::Claim => assert!(time <= schedule.reserves[0].latest_start),
                    _ => {}
                }
            }
            let Some(next) = machine.poll_timeout() else { break };
            now = next;
            machine.handle_timeout(now);
        }
        let starts: Vec<_> = schedule.components.iter().map(|it| Some(it.latest_start)).collect();
        assert_eq!(closed, starts, "{components:?}");
    }
}
