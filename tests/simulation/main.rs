//! The promises, on shutdowns that are drawn at random, in virtual time.
//!
//! Each seed is a service of its own ([`scenario`]): components in some order, work that ends in every way in which it
//! can, faults in any method, signals and requests at any moment, a runtime that blocks, threads that run out. It is
//! played ([`stage`]) by the shutdown's own code on a simulated machine, and then everything that was promised and can
//! be seen without a process is checked ([`promises`]) against what its workers saw ([`witness`]).
//!
//! `SUNDOWN_SEEDS` says how many seeds (CI: 10,000); `SUNDOWN_SEED` replays one, traced.

#![forbid(unsafe_code)]

mod met;
mod promises;
mod scenario;
mod stage;
mod store;
mod witness;

use std::{env, sync::Mutex};

use sundown_testkit::simulation::Simulation;

use self::{met::Met, scenario::Scenario};

const SEEDS: u64 = 10_000;

/// Of so many seeds one is run again, to the letter.
const AGAIN: u64 = 50;

#[test]
fn every_promise_holds_on_every_seed_and_every_fiftieth_is_replayed_to_the_letter() {
    let seeds = env::var("SUNDOWN_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("a number of seeds"));
    let met = Mutex::new(Met::default());
    Simulation::sweep(0..seeds, |simulation| {
        let scenario = Scenario::draw(simulation.seed());
        let played = stage::play(&scenario, &simulation);
        promises::check(&scenario, &played);
        met.lock().expect("nobody panics with it").note(&scenario, &played);
        if simulation.seed() % AGAIN == 0 {
            assert_eq!(played.record(), stage::play(&scenario, &simulation).record());
        }
    });
    if env::var_os(sundown_testkit::simulation::SEED_VARIABLE).is_none() {
        met.into_inner().expect("nobody panics with it").assert_all();
    }
}
