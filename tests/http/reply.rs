//! One answer, taken apart to the byte (RFC 9112; for HTTP/2, `h2` does that).

/// Names in lower case, and values, in their order.
pub(super) type Fields = Vec<(String, String)>;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body, by the request's method or the status.
    Bodyless,
    /// By its length.
    Length(usize),
    /// By its last chunk.
    Chunked,
    /// By the end of the connection.
    ToTheEnd,
    /// By the end of the stream of frames: HTTP/2.
    Frames,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The interim answers before it.
    pub interim: Vec<u16>,
    /// Its status.
    pub status: u16,
    /// Its fields, in lower case and in their order.
    pub fields: Vec<(String, String)>,
    /// How its end is known.
    pub framing: Framing,
    /// What came of its body.
    pub body: Vec<u8>,
    /// The fields after it.
    pub trailers: Vec<(String, String)>,
    /// Whether that is all of it.
    pub is_whole: bool,
}

impl Reply {
    /// Reads an answer to this method off the front of the bytes, as much of it as there is, and says how long it is.
    /// `None` if even its head is cut. `is_end`: a clean end follows the bytes.
    ///
    /// # Panics
    ///
    /// When that is no HTTP.
    pub fn parse(bytes: &[u8], method: &str, is_end: bool) -> Option<(Self, usize)> {
        Self::try_parse(bytes, method, is_end).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// The same.
    ///
    /// # Errors
    ///
    /// What is wrong with it, when that is no HTTP.
    pub fn try_parse(bytes: &[u8], method: &str, is_end: bool) -> Result<Option<(Self, usize)>, String> {
        let mut interim = Vec::new();
        let mut at = 0;
        let (status, fields) = loop {
            let Some(length) = find(&bytes[at..], b"\r\n\r\n").map(|end| end + 4) else { return Ok(None) };
            let (status, fields) = head(&bytes[at..at + length])?;
            at += length;
            if !(100..200).contains(&status) || status == 101 {
                break (status, fields);
            }
            interim.push(status);
        };
        let mut reply = Reply {
            interim,
            status,
            fields,
            framing: Framing::Bodyless,
            body: Vec::new(),
            trailers: Vec::new(),
            is_whole: true,
        };
        reply.framing = reply.framing(method)?;
        at += reply.read_body(&bytes[at..], is_end)?;
        Ok(Some((reply, at)))
    }

    fn framing(&self, method: &str) -> Result<Framing, String> {
        let tunnel = method == "CONNECT" && (200..300).contains(&self.status);
        if method == "HEAD" || tunnel || matches!(self.status, 101 | 204 | 304) {
            return Ok(Framing::Bodyless);
        }
        match (self.try_field("transfer-encoding")?, self.try_field("content-length")?) {
            (Some("chunked"), None) => Ok(Framing::Chunked),
            (None, Some(length)) => match length.parse() {
                Ok(length) => Ok(Framing::Length(length)),
                Err(_) => Err(format!("a length is a number: {length:?}")),
            },
            (None, None) => Ok(Framing::ToTheEnd),
            both => Err(format!("no framing: {both:?}")),
        }
    }

    /// Returns how many bytes that took.
    fn read_body(&mut self, bytes: &[u8], is_end: bool) -> Result<usize, String> {
        Ok(match self.framing {
            Framing::Bodyless | Framing::Frames => 0,
            Framing::Length(length) => {
                let length_here = bytes.len().min(length);
                self.body = bytes[..length_here].to_vec();
                self.is_whole = length_here == length;
                length_here
            }
            Framing::ToTheEnd => {
                self.body = bytes.to_vec();
                self.is_whole = is_end;
                bytes.len()
            }
            Framing::Chunked => {
                let taken = self.read_chunks(bytes)?;
                self.is_whole = taken.is_some();
                taken.unwrap_or(bytes.len())
            }
        })
    }

    /// `None` if they are cut.
    fn read_chunks(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let mut at = 0;
        loop {
            let Some(line) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
            let size = std::str::from_utf8(&bytes[at..at + line]).ok();
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or_else(|| format!("no chunk: {:?}", text(&bytes[at..])))?;
            at += line + 2;
            let chunk = &bytes[at..];
            self.body.extend_from_slice(&chunk[..chunk.len().min(size)]);
            let Some(end) = chunk.get(size..).and_then(|rest| rest.get(..2)) else { return Ok(None) };
            if end != b"\r\n" {
                return Err("a chunk ends with an end of line, and no trailers are expected".to_owned());
            }
            at += size + 2;
            if size == 0 {
                return Ok(Some(at));
            }
        }
    }

    /// A field's value.
    ///
    /// # Panics
    ///
    /// When it is there twice.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.try_field(name).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// The same.
    ///
    /// # Errors
    ///
    /// When it is there twice.
    pub fn try_field(&self, name: &str) -> Result<Option<&str>, String> {
        let mut values = self.fields.iter().filter(|(found, _)| found == name).map(|(_, value)| value);
        let value = values.next();
        match values.next() {
            Some(_) => Err(format!("{name} twice in {self}")),
            None => Ok(value.map(String::as_str)),
        }
    }

    /// Its body as text.
    pub fn text(&self) -> String {
        text(&self.body)
    }

    /// Asserts that it is the handler's own.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn assert_own(&self, body: &str) {
        assert_eq!((self.status, self.field("sundown-fate"), &*self.text()), (200, None, body), "{self}");
    }

    /// Asserts that it says 200, and why: this job has completed or was taken over.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn assert_success(&self, fate: &str, job: &str) {
        assert_eq!(self.status, 200, "{self}");
        assert_eq!(self.field("sundown-fate"), Some(fate), "{self}");
        assert_eq!(self.field("sundown-job"), Some(job), "{self}");
        assert_eq!(self.field("retry-after"), None, "{self}");
        self.assert_last();
    }

    /// Asserts that it tells to try again, and why.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn assert_retry(&self, fate: &str) {
        assert_eq!(self.status, 503, "{self}");
        assert_eq!(self.field("sundown-fate"), Some(fate), "{self}");
        let after = self.field("retry-after").and_then(|after| after.parse::<u64>().ok());
        assert!(after.is_some_and(|after| after >= 1), "{self}");
        self.assert_last();
    }

    fn assert_last(&self) {
        // HTTP/2 says that with a frame, and forbids the field (RFC 9113 § 8.2.2).
        let close = (self.framing != Framing::Frames).then_some("close");
        assert_eq!(self.field("connection"), close, "{self}");
        assert_eq!(self.field("cache-control"), Some("no-store"), "{self}");
        assert!(self.field("date").is_some_and(|date| date.ends_with(" GMT")), "{self}");
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = &self.body[..self.body.len().min(500)];
        write!(f, "{} {:?} {:?}", self.status, self.fields, text(body))?;
        if self.trailers.is_empty() { Ok(()) } else { write!(f, " {:?}", self.trailers) }
    }
}

fn head(bytes: &[u8]) -> Result<(u16, Fields), String> {
    let text = text(bytes);
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.strip_prefix("HTTP/1.1 ").or(status_line.strip_prefix("HTTP/1.0 "));
    let status = status.and_then(|rest| rest.get(..3)).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no status line: {text:?}"))?;
    let fields = lines.map(|line| match line.split_once(':') {
        Some((name, value)) => Ok((name.to_ascii_lowercase(), value.trim().to_owned())),
        None => Err(format!("no field: {line:?}")),
    });
    Ok((status, fields.collect::<Result<_, _>>()?))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
