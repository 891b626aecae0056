//! The parts of a grace, as the service is documented to divide it: from here the rehearsal knows when the
//! process has to be gone, and how long the work of its clients may take. For graces long enough that no part
//! has to shrink.

use std::time::Duration;

/// What is kept between the exit and the end of the grace.
pub fn margin(grace: Duration) -> Duration {
    part(grace, 0.025, 0.25, f64::INFINITY)
}

/// What is left for draining when every later step has its reserve.
pub fn drain(grace: Duration) -> Duration {
    let hand_over = part(grace, 0.1, 0.5, 5.0);
    let answer = part(grace, 0.15, 0.75, 3.0);
    let release = part(grace, 0.075, 0.25, 5.0);
    grace.saturating_sub(hand_over + answer + release + margin(grace))
}

/// A share of the grace, within bounds in seconds.
fn part(grace: Duration, share: f64, least: f64, most: f64) -> Duration {
    Duration::from_secs_f64((grace.as_secs_f64() * share).clamp(least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_of_a_long_grace_is_a_share_of_it() {
        assert_eq!(margin(Duration::from_secs(5)), Duration::from_millis(250));
        assert_eq!(margin(Duration::from_secs(60)), Duration::from_millis(1500));
    }

    #[test]
    fn a_grace_of_five_seconds_drains_for_three() {
        assert_eq!(drain(Duration::from_secs(5)), Duration::from_millis(3125));
        assert_eq!(drain(Duration::from_secs(1)), Duration::ZERO);
    }
}
