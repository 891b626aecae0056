//! How much the journal may hold, and how much it does.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::Full;

/// The bounds, and what is taken of them.
#[derive(Debug)]
pub(crate) struct Room {
    jobs: AtomicU64,
    bytes: AtomicU64,
    max_jobs: u64,
    max_bytes: u64,
}

/// A part of the room, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Space {
    room: Arc<Room>,
    jobs: u64,
    bytes: u64,
}

impl Room {
    pub(crate) fn new(max_jobs: u64, max_bytes: u64) -> Arc<Self> {
        Arc::new(Room { jobs: AtomicU64::new(0), bytes: AtomicU64::new(0), max_jobs, max_bytes })
    }

    /// How many bytes are taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Room for so many jobs and bytes.
    pub(crate) fn take(self: &Arc<Self>, jobs: u64, bytes: u64) -> Result<Space, Full> {
        let space = self.take_anyway(jobs, bytes);
        // Relaxed, here and below: the numbers stand for themselves. Of two who come at once and have room for one, both
        // may be refused; never are both let in.
        let (all_jobs, all_bytes) = (self.jobs.load(Ordering::Relaxed), self.bytes());
        if all_jobs <= self.max_jobs && all_bytes <= self.max_bytes {
            return Ok(space);
        }
        Err(Full {
            jobs: all_jobs.saturating_sub(jobs),
            bytes: all_bytes.saturating_sub(bytes),
            wanted: bytes,
            max_jobs: self.max_jobs,
            max_bytes: self.max_bytes,
        })
    }

    /// The same for what is there already.
    pub(crate) fn take_anyway(self: &Arc<Self>, jobs: u64, bytes: u64) -> Space {
        self.jobs.fetch_add(jobs, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Space { room: self.clone(), jobs, bytes }
    }
}

impl Space {
    /// What it stands for stays in the file until the journal is opened again.
    pub(crate) fn keep(mut self) {
        (self.jobs, self.bytes) = (0, 0);
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.room.jobs.fetch_sub(self.jobs, Ordering::Relaxed);
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
