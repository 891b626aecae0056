//! What stands before the store in the file: a page of our own, which says what the file is.
//!
//! It is read before the store is, so a file of a newer version, or one that is no journal, is refused untouched. It is
//! written once, before the file gets its name: no crash leaves a journal with half of it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use redb::StorageBackend;

/// The version of all that is in the file: this page, the tables and the records.
pub(crate) const FORMAT: u32 = 1;

const MAGIC: &[u8] = b"sundown-journal ";

/// A page of the store's, so that its own pages stay aligned to the disk's sectors.
const PAGE: u64 = 4096;

/// What the first page says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Known,
    Newer(u32),
    Foreign,
}

/// Reads the first page.
pub(crate) fn inspect(file: &dyn StorageBackend) -> io::Result<Frame> {
    let mut page = [0; PAGE as usize];
    if file.len()? < PAGE {
        return Ok(Frame::Foreign);
    }
    file.read(0, &mut page)?;
    let format = page
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.split(|&byte| byte == b'\n').next())
        .and_then(|format| std::str::from_utf8(format).ok()?.parse().ok());
    Ok(match format {
        Some(FORMAT) => Frame::Known,
        Some(newer) if newer > FORMAT => Frame::Newer(newer),
        _ => Frame::Foreign,
    })
}

/// Writes the first page of an empty file.
pub(crate) fn write(file: &dyn StorageBackend) -> io::Result<()> {
    file.set_len(PAGE)?;
    file.write(0, format!("sundown-journal {FORMAT}\n").as_bytes())
}

/// What is known of a file beside what is in it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// A sync has failed: what was written since the one before may be in the system's cache and never on the disk,
    /// though later syncs succeed.
    unsynced: AtomicBool,
    len: AtomicU64,
}

impl Health {
    pub(crate) fn sync_failed(&self) -> bool {
        self.unsynced.load(Ordering::Relaxed)
    }

    /// How long the file is, in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }
}

/// The file behind its first page, as the store sees it.
#[derive(Debug)]
pub(crate) struct Framed {
    file: Arc<dyn StorageBackend>,
    health: Arc<Health>,
}

impl Framed {
    pub(crate) fn new(file: Arc<dyn StorageBackend>) -> io::Result<(Self, Arc<Health>)> {
        let health = Arc::new(Health::default());
        // Relaxed, here and below: one thread uses a store, the writer's.
        health.len.store(file.len()?, Ordering::Relaxed);
        Ok((Framed { file, health: health.clone() }, health))
    }
}

/// The locks of the store are not used: the journal has one of its own.
impl StorageBackend for Framed {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.len()?.saturating_sub(PAGE))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset + PAGE, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len + PAGE)?;
        self.health.len.store(len + PAGE, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = self.file.sync_data();
        if synced.is_err() {
            self.health.unsynced.store(true, Ordering::Relaxed);
        }
        synced
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset + PAGE, data)
    }
}
