//! Readings as they would come, in made-up time.

use super::*;

const MIB: u64 = 1 << 20;
const RULE: Rule = Rule { lead: Duration::from_millis(500), full_at: 95 };

/// What is used so many seconds after the beginning, in MiB, and the limit.
struct Load<F: Fn(f64) -> f64> {
    limit: u64,
    used: F,
}

impl<F: Fn(f64) -> f64> Load<F> {
    fn reading(&self, at: Duration) -> Reading {
        let used = (self.used)(at.as_secs_f64()).max(0.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is small and positive"
        )]
        Reading { limit: self.limit * MIB, working_set: (used * 1_048_576.0) as u64 }
    }

    /// Looks as the watch does, beginning at this offset, with every look late by as much as `late` says. Returns when
    /// the alarm was raised, if it was within this time.
    fn alarm(&self, offset: Duration, within: Duration, late: impl Fn(u32) -> Duration) -> Option<Duration> {
        let start = Instant::now();
        let (mut trend, mut at, mut looks) = (Trend::default(), offset, 0);
        while at < within {
            let reading = self.reading(at);
            if trend.handle_reading(start + at, reading, &RULE) {
                return Some(at);
            }
            at += trend.next_in(reading) + late(looks);
            looks += 1;
        }
        None
    }

    /// When the limit is reached.
    fn end(&self) -> Duration {
        let full = |ms: &u64| {
            let reading = self.reading(Duration::from_millis(*ms));
            reading.working_set >= reading.limit
        };
        Duration::from_millis((0..10_000_000).find(full).expect("it grows"))
    }

    fn assert_quiet(&self, why: &str) {
        for offset in (0..200).step_by(7).map(Duration::from_millis) {
            let alarm = self.alarm(offset, Duration::from_secs(60), |_| Duration::ZERO);
            assert_eq!(alarm, None, "{why}, looked at from {offset:?} on");
        }
    }
}

#[test]
fn steady_growth_leaves_the_time_that_is_needed() {
    for pace in [1.0, 5.0, 20.0, 50.0, 100.0] {
        for limit in [256, 512, 4096] {
            let load = Load { limit, used: |at| 20.0 + pace * at };
            let end = load.end();
            for offset in (0..250).step_by(9).map(Duration::from_millis) {
                let alarm = load.alarm(offset, end, |_| Duration::ZERO).expect("it is noticed");
                let left = end - alarm;
                assert!(left >= RULE.lead, "{pace} MiB/s to {limit} MiB: {left:?} left");
                #[allow(clippy::cast_precision_loss, reason = "it is small")]
                let full = 0.05 * limit as f64 / pace;
                let most = RULE.lead + NOTICED_WITHIN + OFTEN;
                assert!(left.as_secs_f64() <= full.max(most.as_secs_f64()), "not before: {left:?} left");
            }
        }
    }
}

#[test]
fn growth_that_sets_in_late_is_noticed_in_time_for_something() {
    // The average knows of it after half a second; at 100 MiB a second that is when 128 MiB are nearly full.
    for (pace, least) in [(20.0, 300), (100.0, 150)] {
        let load = Load { limit: 128, used: |at| 60.0 + pace * (at - 3.0).max(0.0) };
        let end = load.end();
        for offset in (0..250).step_by(9).map(Duration::from_millis) {
            let alarm = load.alarm(offset, end, |_| Duration::ZERO).expect("it is noticed");
            assert!(end - alarm >= Duration::from_millis(least), "{pace} MiB/s: {:?} left", end - alarm);
        }
    }
}

#[test]
fn growth_after_a_jump_and_a_rest_is_noticed_as_early_as_any_that_sets_in_late() {
    // The jump is a suspicion as long as the average knows of it; the rest after it says nothing of what comes then.
    for rest in [0.2, 0.6, 1.0] {
        let used = |at: f64| if at < 1.0 { 30.0 } else { 226.0 + 100.0 * (at - 1.0 - rest).max(0.0) };
        let load = Load { limit: 256, used };
        let end = load.end();
        for offset in (0..250).step_by(3).map(Duration::from_millis) {
            let alarm = load.alarm(offset, end, |_| Duration::ZERO).expect("it is noticed");
            let left = end - alarm;
            assert!(left >= Duration::from_millis(200), "after {rest} s, from {offset:?} on: {left:?} left");
        }
    }
}

#[test]
fn the_fastest_growth_from_far_away_does_not_reach_the_limit_unnoticed() {
    for limit in [256, 1024, 16 << 10] {
        let load = Load { limit, used: |at| 10.0 + 1000.0 * (at - 0.3).max(0.0) };
        let end = load.end();
        for offset in (0..300).step_by(7).map(Duration::from_millis) {
            assert!(load.alarm(offset, end, |_| Duration::ZERO).is_some(), "{limit} MiB, from {offset:?} on");
        }
    }
}

#[test]
fn looks_that_come_late_still_raise_it_in_time() {
    // A loaded machine wakes the thread up to 40 ms late, now and then.
    let load = Load { limit: 512, used: |at| 20.0 + 100.0 * at };
    let end = load.end();
    for seed in 0..50 {
        let late = |look: u32| Duration::from_millis(u64::from((look * 7919 + seed * 104_729) % 41));
        let alarm = load.alarm(Duration::ZERO, end, late).expect("it is noticed");
        assert!(end - alarm >= RULE.lead, "{:?} left", end - alarm);
    }
}

#[test]
fn a_sawtooth_is_no_alarm() {
    // Slow: a cache that is filled at 50 MiB a second and dropped. Fast: a collector, near the limit.
    let slow = |at: f64| 100.0 + 50.0 * (at % 2.0);
    Load { limit: 256, used: slow }.assert_quiet("slow");
    let fast = |at: f64| 225.0 + 150.0 * (at % 0.1);
    Load { limit: 256, used: fast }.assert_quiet("fast");
    let large = |at: f64| 3000.0 + 300.0 * (at % 2.0);
    Load { limit: 4096, used: large }.assert_quiet("large");
}

#[test]
fn what_jumps_and_stays_below_the_limit_is_no_alarm() {
    // What a service loads when it starts.
    for to in [100.0, 180.0, 230.0, 242.0] {
        Load { limit: 256, used: |at| if at < 1.0 { 30.0 } else { to } }.assert_quiet("at once");
    }
    // Some pages come and go up there.
    for (to, pages) in [(226.0, 1.0), (242.0, 0.5)] {
        let unsteady = |at: f64| to + pages * (at * 40.0).sin();
        Load { limit: 256, used: |at| if at < 1.0 { 30.0 } else { unsteady(at) } }.assert_quiet("unsteady");
    }
    Load { limit: 1024, used: |at| 30.0 + 300.0 * (at - 1.0).clamp(0.0, 2.5) }
        .assert_quiet("780 MiB in 2.5 s");
}

#[test]
fn a_jump_to_the_limit_is_an_alarm() {
    let load = Load { limit: 256, used: |at| if at < 1.0 { 30.0 } else { 250.0 } };
    let alarm = load.alarm(Duration::ZERO, Duration::from_secs(10), |_| Duration::ZERO);
    let within = Duration::from_secs(1) + Duration::from_millis(400);
    assert!(alarm.is_some_and(|alarm| alarm < within), "{alarm:?}");
}

#[test]
fn a_jump_that_goes_on_is_an_alarm() {
    // Twenty mebibytes at a time, five times a second.
    let load = Load { limit: 512, used: |at| 20.0 + 20.0 * (at * 5.0).floor() };
    let end = load.end();
    let alarm = load.alarm(Duration::ZERO, end, |_| Duration::ZERO).expect("it is noticed");
    assert!(end - alarm >= Duration::from_millis(300), "{:?} left", end - alarm);
}

#[test]
fn what_stands_still_high_up_is_no_alarm() {
    Load { limit: 256, used: |_| 240.0 }.assert_quiet("94 %");
    // Some pages come and go.
    Load { limit: 256, used: |at| 240.0 + 0.5 * (at * 40.0).sin() }.assert_quiet("94 %, unsteady");
}

#[test]
fn one_odd_reading_is_no_alarm() {
    for odd in [0, 50, 254, 256, 300, u64::MAX / MIB] {
        let (start, mut trend) = (Instant::now(), Trend::default());
        for look in 0..100 {
            let used = if look == 50 { odd } else { 200 };
            let reading = Reading { limit: 256 * MIB, working_set: used * MIB };
            assert!(!trend.handle_reading(start + OFTEN * look, reading, &RULE), "{odd} MiB");
        }
    }
}

#[test]
fn a_limit_that_is_lowered_below_the_use_is_an_alarm() {
    let (start, mut trend) = (Instant::now(), Trend::default());
    let reading = |limit| Reading { limit: limit * MIB, working_set: 200 * MIB };
    assert!(!trend.handle_reading(start, reading(1024), &RULE));
    assert!(!trend.handle_reading(start + OFTEN, reading(100), &RULE), "suspected");
    assert_eq!(trend.next_in(reading(100)), OFTEN);
    assert!(trend.handle_reading(start + OFTEN * 2, reading(100), &RULE));
}

#[test]
fn a_limit_that_is_raised_in_time_is_no_alarm() {
    let (start, mut trend) = (Instant::now(), Trend::default());
    let reading = |limit| Reading { limit: limit * MIB, working_set: 200 * MIB };
    assert!(!trend.handle_reading(start, reading(201), &RULE), "suspected");
    assert!(!trend.handle_reading(start + OFTEN, reading(400), &RULE));
    assert!(!trend.handle_reading(start + OFTEN * 2, reading(201), &RULE), "suspected again");
}

#[test]
fn readings_of_one_moment_say_nothing_of_a_pace() {
    let (start, mut trend) = (Instant::now(), Trend::default());
    for used in [10, 200, 250, 250, 256] {
        let reading = Reading { limit: 256 * MIB, working_set: used * MIB };
        assert!(!trend.handle_reading(start, reading, &RULE));
    }
}

#[test]
fn numbers_at_their_ends_are_no_panic() {
    let ends = [0, 1, u64::MAX / 2, u64::MAX];
    let rules = [Duration::ZERO, Duration::MAX]
        .into_iter()
        .flat_map(|lead| [0, 1, 100, u8::MAX].map(|full_at| Rule { lead, full_at }));
    for rule in rules {
        let (mut now, mut trend) = (Instant::now(), Trend::default());
        for (limit, working_set) in ends.into_iter().flat_map(|limit| ends.map(|used| (limit, used))) {
            let reading = Reading { limit, working_set };
            now += OFTEN;
            trend.handle_reading(now, reading, &rule);
            assert!((OFTEN..=RARELY).contains(&trend.next_in(reading)));
            assert!(trend.pace.is_finite() && trend.pace >= 0.0);
        }
    }
}

#[test]
fn it_is_looked_rarely_only_where_nothing_can_happen_in_between() {
    let trend = Trend::default();
    let next = |limit: u64, used: u64| {
        trend.next_in(Reading { limit: limit * MIB, working_set: used * MIB }).as_millis()
    };
    assert_eq!(next(512, 400), 50, "near");
    assert_eq!(next(16 << 10, 10 << 10), 50, "60 % of whatever");
    assert_eq!(next(512, 100), 206);
    assert_eq!(next(1200, 200), 500);
    assert_eq!(next(16 << 10, 100), 5000, "there is room for ten seconds");
    for (limit, used) in [(256, 0), (1024, 300), (4096, 2000)] {
        assert!(next(limit, used) < u128::from((limit - used) * 1000 / 1000), "half of the way at most");
    }
}

#[test]
fn a_suspicion_is_followed_up_at_once() {
    let (start, mut trend) = (Instant::now(), Trend::default());
    let reading = |used| Reading { limit: 4096 * MIB, working_set: used * MIB };
    assert!(!trend.handle_reading(start, reading(100), &RULE));
    assert_eq!(trend.next_in(reading(100)).as_millis(), 1998);
    // At a pace for which half of the limit is nothing.
    assert!(!trend.handle_reading(start + OFTEN, reading(2300), &RULE));
    assert_eq!(trend.next_in(reading(2300)), OFTEN);
}
