//! Where a TLS record ends, which rustls knows and does not say: whether the last bytes that came are a whole one.

/// Type, version, length (RFC 8446 § 5.1).
const HEADER: u8 = 5;

#[derive(Debug, Default)]
pub(super) struct Records {
    /// How much of a header has come.
    header: u8,
    /// Of what that header, or the last, says will follow, how much has not come.
    missing: u16,
}

impl Records {
    pub(super) fn handle_input(&mut self, mut input: &[u8]) {
        while let [first, rest @ ..] = input {
            if self.header == 0 && self.missing > 0 {
                let bytes = input.len().min(usize::from(self.missing));
                // At most what it is subtracted from.
                self.missing -= bytes as u16;
                input = &input[bytes..];
                continue;
            }
            self.header += 1;
            match self.header {
                4 => self.missing = u16::from(*first) << 8,
                HEADER => {
                    self.missing |= u16::from(*first);
                    self.header = 0;
                }
                _ => {}
            }
            input = rest;
        }
    }

    /// Part of a record has come.
    pub(super) fn is_partial(&self) -> bool {
        self.header > 0 || self.missing > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of 0, 1, 300 and 2 bytes.
    fn stream() -> (Vec<u8>, Vec<usize>) {
        let (mut stream, mut ends) = (Vec::new(), vec![0]);
        for length in [0_u16, 1, 300, 2] {
            stream.extend([23, 3, 3]);
            stream.extend(length.to_be_bytes());
            stream.extend(std::iter::repeat_n(0xff, length.into()));
            ends.push(stream.len());
        }
        (stream, ends)
    }

    #[test]
    fn a_record_is_partial_up_to_its_last_byte() {
        let (stream, ends) = stream();
        for step in [1, 2, 3, 7, 100, stream.len()] {
            let (mut records, mut at) = (Records::default(), 0);
            for chunk in stream.chunks(step) {
                records.handle_input(chunk);
                at += chunk.len();
                assert_eq!(records.is_partial(), !ends.contains(&at), "{at} bytes by {step}");
            }
        }
    }
}
