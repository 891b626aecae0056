//! What the body of a 2xx says. The rule is the first character's: where the body is empty or begins with anything but
//! `{`, the whole batch is taken over, and the rest is not read; an object is read whole, since it may name which
//! events were.
//!
//! What it keeps true: nothing is acknowledged on a guess. An object that is cut, too long or malformed, or whose
//! `acknowledged` is no list of texts, acknowledges nothing; and since the events did arrive, they are in doubt. (A body
//! that only the end of the connection ends is complete when it ends, as
//! [RFC 9112, section 8](https://www.rfc-editor.org/rfc/rfc9112#section-8) has it.)

use std::{collections::HashSet, io::Read};

use serde::{Deserialize, Deserializer};

use super::verdict::{Again, Failure, Verdict};

/// Which events of a batch were taken over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Acknowledged {
    All,
    /// Ids; there may be some that we do not know.
    These(HashSet<String>),
}

impl Acknowledged {
    pub(super) fn names(&self, id: &str) -> bool {
        match self {
            Acknowledged::All => true,
            Acknowledged::These(ids) => ids.contains(id),
        }
    }
}

/// How long an object may be: 64 KiB, and 256 bytes for each event. An id of ours takes about 75.
fn most_bytes(events: usize) -> usize {
    64 * 1024 + 256 * events
}

/// Reads the body of a 2xx to a batch of so many events, as far as necessary. `whole`: how long the body is, if that is known.
pub(super) fn read(body: &mut dyn Read, events: usize, whole: Option<u64>) -> Verdict {
    let most = most_bytes(events);
    let (mut text, mut some) = (Vec::new(), [0; 4096]);
    loop {
        let length = match body.read(&mut some) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) => {
                let why = format!("2xx, but its body broke off or did not come in time: {error}");
                return Err(unclear(why, Again::Soon));
            }
        };
        text.extend_from_slice(&some[..length]);
        if significant(&text).first().is_some_and(|&first| first != b'{') {
            if whole == Some(text.len() as u64) {
                // It is all here, and nothing is waited for. A connection whose body was read to its end can be used again.
                let _ = body.read(&mut some);
            }
            return Ok(Acknowledged::All);
        }
        if text.len() > most {
            return Err(unclear(format!("2xx, but its body is longer than {most} bytes"), Again::Never));
        }
    }
    match significant(&text) {
        [] => Ok(Acknowledged::All),
        object => match serde_json::from_slice::<Object>(object) {
            Ok(Object { acknowledged: None }) => Ok(Acknowledged::All),
            Ok(Object { acknowledged: Some(ids) }) => Ok(Acknowledged::These(ids)),
            Err(error) => {
                Err(unclear(format!("2xx, but its body cannot be understood: {error}"), Again::Never))
            }
        },
    }
}

/// The server has the events, and what it did with them is not known.
pub(super) fn unclear(why: String, again: Again) -> Failure {
    Failure { why, in_doubt: true, again }
}

/// Without white space and a [byte order mark](https://www.rfc-editor.org/rfc/rfc8259#section-8.1) in front.
fn significant(text: &[u8]) -> &[u8] {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let text = text.strip_prefix(MARK).unwrap_or(if MARK.starts_with(text) { &[] } else { text });
    text.trim_ascii_start()
}

#[derive(Deserialize)]
struct Object {
    /// `null` is no list, and so is an error.
    #[serde(default, deserialize_with = "list")]
    acknowledged: Option<HashSet<String>>,
}

fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HashSet<String>>, D::Error> {
    HashSet::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_object_takes_the_whole_batch() {
        for body in ["", " \n", "ok", "[\"1\"]", "\"{}\"", "<html>", "{}", " {\"status\":\"ok\"}"] {
            assert_eq!(read(&mut body.as_bytes(), 2, None).unwrap(), Acknowledged::All, "{body}");
        }
    }

    #[test]
    fn an_object_names_what_it_takes() {
        for body in ["{\"acknowledged\":[\"1\"]}", "\u{feff} {\"x\":0,\"acknowledged\":[\"1\",\"9\"]} "] {
            let reply = read(&mut body.as_bytes(), 2, None).unwrap();
            assert!(reply.names("1") && !reply.names("2"), "{body}");
        }
        assert!(!read(&mut &b"{\"acknowledged\":[]}"[..], 2, None).unwrap().names("1"));
    }

    #[test]
    fn what_cannot_be_understood_takes_nothing_and_leaves_a_doubt() {
        for body in [
            "{",
            "{\"acknowledged\":[\"1\"",
            "{\"acknowledged\":\"1\"}",
            "{\"acknowledged\":null}",
            "{\"acknowledged\":[1]}",
            "{\"acknowledged\":[\"1\"],\"acknowledged\":[\"2\"]}",
            "{\"acknowledged\":[\"1\"]} {}",
        ] {
            let failure = read(&mut body.as_bytes(), 2, None).unwrap_err();
            assert!(failure.in_doubt && failure.again == Again::Never, "{body}");
        }
    }

    #[test]
    fn an_endless_body_is_not_read_to_its_end() {
        let failure = read(&mut b"{".chain(std::io::repeat(b' ')), 2, None).unwrap_err();
        assert_eq!(failure.why, "2xx, but its body is longer than 66048 bytes");
        assert!(failure.in_doubt);
        assert_eq!(read(&mut std::io::repeat(b'x'), 2, None).unwrap(), Acknowledged::All);
    }
}
