//! Cuts events into requests, bounded in number and in bytes.
//!
//! What it keeps true: events are made one by one, and only when their batch is next. So a payload that hangs while it
//! is serialised holds up its own batch and those behind it, never one before.

use std::ops::Range;

use sundown::Uuid;

/// One request's worth of events.
pub(super) struct Batch {
    /// Names it, in every attempt.
    pub(super) id: String,
    /// Which of all events they are.
    pub(super) places: Range<usize>,
    /// All of them as a JSON array.
    pub(super) body: Vec<u8>,
}

/// Batches of at most so many events and bytes; an event that alone is longer gets a batch of its own.
pub(super) struct Batches<I> {
    events: I,
    most_events: usize,
    most_bytes: usize,
    /// What did not fit the batch before.
    kept: Option<Vec<u8>>,
    place: usize,
}

impl<I: ExactSizeIterator<Item = Vec<u8>>> Batches<I> {
    pub(super) fn new(events: I, most_events: usize, most_bytes: usize) -> Self {
        Batches { events, most_events, most_bytes, kept: None, place: 0 }
    }

    /// How many batches there will be after this one, if they are like it.
    pub(super) fn after(&self, batch: &Batch) -> usize {
        let left = self.events.len() + usize::from(self.kept.is_some());
        left.div_ceil(batch.places.len().max(1))
    }
}

impl<I: ExactSizeIterator<Item = Vec<u8>>> Iterator for Batches<I> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let first = self.place;
        let mut body = vec![b'['];
        while self.place - first < self.most_events {
            let Some(event) = self.kept.take().or_else(|| self.events.next()) else { break };
            if self.place > first {
                // With a comma before it and the bracket after it.
                if body.len() + event.len() + 2 > self.most_bytes {
                    self.kept = Some(event);
                    break;
                }
                body.push(b',');
            }
            body.extend_from_slice(&event);
            self.place += 1;
        }
        body.push(b']');
        (self.place > first).then(|| Batch {
            id: Uuid::new_v4().to_string(),
            places: first..self.place,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(events: &[&str], most_events: usize, most_bytes: usize) -> Vec<String> {
        let events = events.iter().map(|event| event.as_bytes().to_vec());
        Batches::new(events, most_events, most_bytes)
            .map(|batch| format!("{:?} {}", batch.places, String::from_utf8(batch.body).unwrap()))
            .collect()
    }

    #[test]
    fn a_batch_is_bounded_in_events() {
        assert_eq!(cut(&["1", "2", "3"], 2, 100), ["0..2 [1,2]", "2..3 [3]"]);
        assert_eq!(cut(&["1", "2"], 2, 100), ["0..2 [1,2]"]);
        assert_eq!(cut(&[], 2, 100), [""; 0]);
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_to_the_byte() {
        assert_eq!(cut(&["11", "22", "33"], 9, 7), ["0..2 [11,22]", "2..3 [33]"]);
        assert_eq!(cut(&["11", "22", "33"], 9, 6), ["0..1 [11]", "1..2 [22]", "2..3 [33]"]);
    }

    #[test]
    fn an_event_that_is_too_long_goes_alone() {
        assert_eq!(cut(&["1", "22222222", "3", "4"], 9, 5), ["0..1 [1]", "1..2 [22222222]", "2..4 [3,4]"]);
    }

    #[test]
    fn an_event_is_made_only_for_the_next_batch() {
        let made = std::cell::Cell::new(0);
        let events = (0..5).map(|_| {
            made.set(made.get() + 1);
            b"1".to_vec()
        });
        let mut batches = Batches::new(events, 2, 100);
        let first = batches.next().unwrap();
        assert_eq!((made.get(), batches.after(&first)), (2, 2));
    }
}
