//! A file that is read and never written: what is written to it stays in memory.
//!
//! After a failed sync nobody knows which of the last writes are on the disk: reads show them from the system's cache,
//! and a later sync that succeeds says nothing of them. Whatever such a file holds is copied elsewhere; to write into
//! it, even what the store writes when it opens, could make the disk's own state worse than it is.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redb::StorageBackend;

const PAGE: usize = 4096;

#[derive(Debug)]
pub(crate) struct Overlay {
    below: Arc<dyn StorageBackend>,
    /// The lock guards what was written; nothing but the file is called under it.
    above: Mutex<Above>,
}

#[derive(Debug)]
struct Above {
    pages: HashMap<u64, Box<[u8; PAGE]>>,
    len: u64,
    /// What of the file below is still to be seen: a file that was cut and grown again is empty in between.
    below: u64,
}

impl Overlay {
    pub(crate) fn new(below: Arc<dyn StorageBackend>) -> io::Result<Self> {
        let len = below.len()?;
        Ok(Overlay { below, above: Mutex::new(Above { pages: HashMap::new(), len, below: len }) })
    }

    fn above(&self) -> MutexGuard<'_, Above> {
        self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One page as it is now.
    fn page(&self, above: &Above, number: u64) -> io::Result<Box<[u8; PAGE]>> {
        if let Some(page) = above.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = Box::new([0; PAGE]);
        let start = number * PAGE as u64;
        let seen = above.below.saturating_sub(start).min(PAGE as u64) as usize;
        if seen > 0 {
            self.below.read(start, &mut page[..seen])?;
        }
        Ok(page)
    }
}

/// The parts of a range by page: which one, where in it, and where in the range.
fn pages(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let place = offset + at as u64;
        let within = (place % PAGE as u64) as usize;
        let part = at..len.min(at + PAGE - within);
        at = part.end;
        (!part.is_empty()).then_some((place / PAGE as u64, within, part))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.above().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let above = self.above();
        if offset + out.len() as u64 > above.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, within, part) in pages(offset, out.len()) {
            let len = part.len();
            out[part].copy_from_slice(&self.page(&above, number)?[within..within + len]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut above = self.above();
        if len < above.len {
            let (last, cut) = (len / PAGE as u64, (len % PAGE as u64) as usize);
            let mut page = self.page(&above, last)?;
            page[cut..].fill(0);
            above.pages.retain(|&number, _| number < last);
            above.pages.insert(last, page);
            above.below = above.below.min(len);
        }
        above.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut above = self.above();
        for (number, within, part) in pages(offset, data.len()) {
            let mut page = self.page(&above, number)?;
            page[within..within + part.len()].copy_from_slice(&data[part]);
            above.pages.insert(number, page);
        }
        above.len = above.len.max(offset + data.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;

    #[test]
    fn an_overlay_reads_as_the_file_would_and_leaves_it_alone() {
        let mut dice = fastrand::Rng::with_seed(7);
        for _ in 0..50 {
            let below = Disk::with_file(&vec![7; dice.usize(0..20_000)]);
            let before = below.contents();
            let mut model = before.clone();
            let overlay = Overlay::new(below.file()).unwrap();
            for _ in 0..40 {
                let at = dice.usize(0..20_000);
                match dice.u8(0..3) {
                    0 => {
                        model.resize(at, 0);
                        overlay.set_len(at as u64).unwrap();
                    }
                    1 => {
                        let data = vec![dice.u8(..); dice.usize(0..9_000)];
                        model.resize(model.len().max(at + data.len()), 0);
                        model[at..at + data.len()].copy_from_slice(&data);
                        overlay.write(at as u64, &data).unwrap();
                    }
                    _ => {
                        assert_eq!(overlay.len().unwrap(), model.len() as u64);
                        let mut all = vec![1; model.len()];
                        overlay.read(0, &mut all).unwrap();
                        assert!(all == model);
                        assert!(overlay.read(model.len() as u64, &mut [0]).is_err());
                    }
                }
            }
            assert!(below.contents() == before);
        }
    }
}
