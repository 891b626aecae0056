//! Wrong ways to end.

use std::{
    future::pending,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use sundown::{Claims, Fate, Receipt, Watch};

use crate::fault::{Fault, Held, count};

async fn waits_for(fate: Fate, receipt: &Receipt) {
    if receipt.jobs().iter().any(|job| job.fate() == fate) {
        pending::<()>().await;
    }
}

pub(crate) struct WaitsForATaker;

#[sundown::async_trait]
impl Fault for WaitsForATaker {
    async fn conclude(&self, receipt: &Receipt) {
        waits_for(Fate::Unacknowledged, receipt).await;
    }
}

pub(crate) struct WaitsForTheTaker;

#[sundown::async_trait]
impl Fault for WaitsForTheTaker {
    async fn conclude(&self, receipt: &Receipt) {
        waits_for(Fate::HandedOver, receipt).await;
    }
}

pub(crate) struct ForceWaits;

impl Fault for ForceWaits {
    fn force(&self, right: &Held) {
        while count(right) > 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[derive(Default)]
pub(crate) struct ForceOnce(AtomicBool);

impl Fault for ForceOnce {
    fn force(&self, _: &Held) {
        assert!(!self.0.swap(true, Ordering::AcqRel), "forced already, on purpose");
    }
}

/// Panics over an empty list.
pub(crate) struct NeedsJobs;

impl Fault for NeedsJobs {
    fn claim(&self, right: &Held, claims: &Claims) {
        let none = count(right) == 0;
        right.claim(claims);
        assert!(!none, "no jobs, on purpose");
    }
}

#[derive(Default)]
pub(crate) struct JoinsOnce(AtomicBool);

impl Fault for JoinsOnce {
    fn joined(&self, right: &Held, watch: &Watch) {
        assert!(!self.0.swap(true, Ordering::AcqRel), "joined already, on purpose");
        right.joined(watch);
    }
}

/// Concludes nothing once it was forced.
#[derive(Default)]
pub(crate) struct EndsWithForce(AtomicBool);

#[sundown::async_trait]
impl Fault for EndsWithForce {
    async fn conclude(&self, _: &Receipt) {
        if self.0.load(Ordering::Acquire) {
            pending::<()>().await;
        }
    }

    fn force(&self, _: &Held) {
        self.0.store(true, Ordering::Release);
    }
}
