//! From the permission to begin a durable job to the job: what is written in between.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use serde_json::value::to_raw_value;
use sundown::{InvalidJobId, JobId, Past, Reservation};

use crate::{
    BeginError, DurableJob, Recovered, WriteError,
    component::Component,
    job::Kept,
    store::{Found, Note, Put, Record, Row, row_of, size, size_of_checkpoint},
    text::Text,
    writer::Space,
};

/// Permission to begin one durable job: see [`DurableJobs::reserve`](crate::DurableJobs::reserve). It counts as in flight.
#[must_use = "a dropped reservation is given up"]
pub struct DurableReservation<P> {
    pub(crate) reservation: Reservation<P>,
    pub(crate) component: Arc<Component>,
}

impl<P: Serialize + Send + Sync + 'static> DurableReservation<P> {
    /// Begins the job: see [`DurableJobs::begin`](crate::DurableJobs::begin).
    ///
    /// # Errors
    ///
    /// See [`BeginError`]. The reservation is given up.
    ///
    /// # Cancel safety
    ///
    /// As [`DurableJobs::begin`](crate::DurableJobs::begin).
    pub async fn begin<I>(self, id: I, payload: P) -> Result<DurableJob<P>, BeginError>
    where
        I: TryInto<JobId>,
        InvalidJobId: From<I::Error>,
    {
        let id = id.try_into().map_err(InvalidJobId::from)?;
        let text = to_raw_value(&payload).map_err(BeginError::Payload)?;
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, in_milliseconds);
        let record = Record { run: self.component.run, began, id, past: Past::default(), payload: text };
        self.write(record, payload, None).await
    }

    pub(crate) async fn again(self, job: &Recovered, payload: P) -> Result<DurableJob<P>, BeginError> {
        let Record { began, ref id, payload: ref text, .. } = *job.found.record;
        let (id, text) = (id.clone(), text.clone());
        let record = Record { run: self.component.run, began, id, past: job.past(), payload: text };
        self.write(record, payload, Some(job.found.clone())).await
    }

    async fn write(
        self,
        record: Record,
        payload: P,
        instead_of: Option<Arc<Found>>,
    ) -> Result<DurableJob<P>, BeginError> {
        let DurableReservation { reservation, component } = self;
        let (row, record) = (row_of(reservation.key()), Arc::new(record));
        let checkpoint = instead_of.as_ref().and_then(|old| old.checkpoint.clone());
        let (space, noted) = component.make_room(&record, checkpoint.as_deref(), instead_of.is_some())?;
        component.writes(row);
        let mut written = Written { component: &component, row, old: instead_of.clone(), undo: true };
        let put = Put { row, record: record.clone(), checkpoint: checkpoint.clone(), end: None, instead_of };
        let answer = component.journal.queue().put(put).await;
        // It says itself what becomes of a put that has failed.
        written.undo = false;
        answer.unwrap_or_else(|_| Err(WriteError::closed()))?;
        let job = reservation.begin_again(record.id.clone(), payload, record.past.clone())?;
        if let Some(checkpoint) = checkpoint {
            job.checkpoint(Text(checkpoint));
        }
        drop(written);
        Ok(DurableJob::new(job, Kept::new(component, row, space, noted)))
    }
}

impl<P> fmt::Debug for DurableReservation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DurableReservation")
    }
}

fn in_milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A put that nobody waits for any more is taken back.
struct Written<'a> {
    component: &'a Component,
    row: Row,
    /// What it was to replace.
    old: Option<Arc<Found>>,
    undo: bool,
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        if !self.undo {
            return;
        }
        let queue = self.component.journal.queue();
        if let Some(old) = &self.old {
            queue.note(old.row, Note::restore(old));
        }
        queue.forget(self.row);
    }
}

impl Component {
    /// Room for a job, and for its checkpoint. What only moves finds room in any case.
    fn make_room(
        &self,
        record: &Record,
        checkpoint: Option<&serde_json::value::RawValue>,
        moves: bool,
    ) -> Result<(Space, Option<Space>), BeginError> {
        let room = &self.journal.inner.room;
        let space = if moves { room.take_anyway(1, size(record)) } else { room.take(1, size(record))? };
        Ok((space, checkpoint.map(|checkpoint| room.take_anyway(0, size_of_checkpoint(checkpoint)))))
    }
}
