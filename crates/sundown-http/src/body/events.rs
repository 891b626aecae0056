//! Where one event of an event stream ends and the next begins.
//!
//! Lines end with CR LF, LF or CR, in any mix, and an event ends with a blank one
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>). What a stream that ends
//! elsewhere had begun to say, its reader throws away.

use bytes::Bytes;
use http_body::Frame;

/// How the bytes of an event stream that have been let out end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Events {
    /// In a line with nothing in it.
    is_blank: bool,
    /// With a CR: an LF after it belongs to it.
    is_cr: bool,
    is_between: bool,
}

/// No longer end of an event is there than CR LF CR LF.
const LONGEST_END: usize = 4;

impl Default for Events {
    /// Of a stream that has not begun.
    fn default() -> Self {
        Events { is_blank: true, is_cr: false, is_between: true }
    }
}

impl Events {
    /// Whether they end between two events.
    pub(crate) fn are_between(self) -> bool {
        self.is_between
    }

    /// More is let out.
    pub(crate) fn let_out(&mut self, bytes: &[u8]) {
        let (before, end) = bytes.split_at(bytes.len().saturating_sub(LONGEST_END));
        if !before.is_empty() {
            // It takes more than the end to know more of what is before.
            *self = Events { is_blank: false, is_cr: false, is_between: false };
        }
        end.iter().for_each(|byte| self.step(*byte));
    }

    /// What is let out of a frame. If it is to be the last, that may be less than all of it.
    pub(super) fn let_frame_out(&mut self, frame: Frame<Bytes>, is_last: bool) -> Frame<Bytes> {
        frame.map_data(|mut data| {
            if let Some(end) = is_last.then(|| self.last_end(&data)).flatten() {
                data.truncate(end);
            }
            self.let_out(&data);
            data
        })
    }

    /// How many of these bytes come before the last end of an event in them.
    pub(crate) fn last_end(mut self, bytes: &[u8]) -> Option<usize> {
        let mut last = None;
        for (index, byte) in bytes.iter().enumerate() {
            self.step(*byte);
            if self.is_between {
                last = Some(index + 1);
            }
        }
        last
    }

    fn step(&mut self, byte: u8) {
        match byte {
            b'\n' if self.is_cr => self.is_cr = false,
            b'\n' | b'\r' => {
                *self = Events { is_blank: true, is_cr: byte == b'\r', is_between: self.is_blank };
            }
            _ => *self = Events { is_blank: false, is_cr: false, is_between: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As they come, in frames.
    fn after(frames: &[&str]) -> Events {
        let mut events = Events::default();
        frames.iter().for_each(|frame| events.let_out(frame.as_bytes()));
        events
    }

    #[test]
    fn an_event_ends_with_a_blank_line() {
        let between: [&[&str]; 16] = [
            &[],
            &[""],
            &["\n"],
            &["data: a\n\n"],
            &["data: a\r\n\r\n"],
            &["data: a\r\r"],
            &["data: a\n\r"],
            &["data: a\r\n\n"],
            &["data: a\n\r\n"],
            &["data: a\r\r\n"],
            &["data: a\n", "\n"],
            &["data: a\r", "\n\r", "\n"],
            &["data: a\r\n", "", "\r"],
            &["data: a\r\n\r", "\n"],
            &["d", "ata: a\n\n:\n\n"],
            &["data: a\n\n\n\n\n\n"],
        ];
        for frames in between {
            assert!(after(frames).are_between(), "{frames:?}");
        }
        let inside: [&[&str]; 10] = [
            &["data: a"],
            &["data: a\n"],
            &["data: a\r\n"],
            &["data: a\r", "\n"],
            &["a\r\n", "b\r\n"],
            &["data: a\n\nd"],
            &["data: a\n\n", "data: b\n"],
            &["data: a\n \n"],
            &["\n\n\n\n\n\nx\r\n"],
            &["data: a\n\n", ":"],
        ];
        for frames in inside {
            assert!(!after(frames).are_between(), "{frames:?}");
        }
    }

    #[test]
    fn the_last_end_in_a_frame_is_found() {
        let cases: [(&[&str], &str, Option<&str>); 7] = [
            (&[], "data: a\n\ndata: b\n\ndata", Some("data: a\n\ndata: b\n\n")),
            (&["data"], ": a\r\n\r\nid: 3", Some(": a\r\n\r\n")),
            (&["data: a\n"], "\nid: 3", Some("\n")),
            (&["data: a\r"], "\nid: 3\n", None),
            (&["data: a\r\n\r"], "\nid: 3\n", Some("\n")),
            (&["da"], "ta: a\n", None),
            (&["da"], "ta: a\n\n", Some("ta: a\n\n")),
        ];
        for (before, frame, let_out) in cases {
            let end = after(before).last_end(frame.as_bytes());
            assert_eq!(end.map(|end| &frame[..end]), let_out, "{before:?} {frame:?}");
        }
    }

    /// Only the end of a frame is looked at; all of it would say the same.
    #[test]
    fn wherever_frames_are_cut_it_is_the_same_stream() {
        const LETTERS: &[u8] = b"\r\nx";
        for number in 0..3_usize.pow(8) {
            let stream: Vec<u8> = (0..8).map(|place| LETTERS[number / 3_usize.pow(place) % 3]).collect();
            let mut whole = Events::default();
            stream.iter().for_each(|byte| whole.step(*byte));
            for cut in 0..stream.len() {
                let mut events = Events::default();
                events.let_out(&stream[..cut]);
                events.let_out(&stream[cut..]);
                assert_eq!(events.are_between(), whole.are_between(), "{stream:?} cut at {cut}");
            }
        }
    }
}
