//! Sees where each request of an HTTP/1 connection begins and ends, in the bytes as they arrive.
//!
//! The HTTP library settles some contradictions quietly: of a `Content-Length` beside a
//! `Transfer-Encoding` it drops one before anybody can see it. A proxy before us may settle them the
//! other way, and what it took for a body we would take for a request. Here they are seen and refused,
//! and so is what it lets pass although the standard has a 400 for it: no host or two of them, and a
//! target with a fragment, which it cuts off.

/// Most bytes of a request's head, its first line included. Signed headers of every known provider
/// fit in a quarter of it. Held by the HTTP library's buffer too, which answers 431.
pub(super) const HEAD_BYTES_MAX: usize = 32 * 1024;

/// The first line of HTTP/2, whose frames know no such contradictions.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

/// A connection's bytes, read once, in order.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    head_bytes: usize,
    length: Option<u64>,
    chunked: bool,
    hosts: usize,
    needs_host: bool,
    /// Heads that were seen to their end and are in order.
    heads: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a request's first line.
    Start,
    /// Among its header fields.
    Fields,
    /// In its body, of which so many bytes are to come.
    Body(u64),
    /// Not ours to frame: HTTP/2, the last request of the connection, or one that was refused.
    Rest,
}

/// A head that contradicts itself or is not what the standard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

impl Framing {
    pub(super) fn new() -> Self {
        Self {
            state: State::Start,
            line: Vec::new(),
            head_bytes: 0,
            length: None,
            chunked: false,
            hosts: 0,
            needs_host: false,
            heads: 0,
        }
    }

    /// How many heads were in order.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether a request's head has begun and not ended.
    pub(super) fn is_in_head(&self) -> bool {
        match self.state {
            State::Start => !self.line.is_empty(),
            State::Fields => true,
            State::Body(_) | State::Rest => false,
        }
    }

    /// Takes the next bytes.
    pub(super) fn see(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        while !bytes.is_empty() {
            match self.state {
                State::Rest => return Ok(()),
                State::Body(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(here..).unwrap_or_default();
                    let left = left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
                    self.state = if left == 0 { State::Start } else { State::Body(left) };
                }
                State::Start | State::Fields => {
                    let seen = self.head(bytes);
                    if seen.is_err() {
                        self.state = State::Rest;
                    }
                    bytes = bytes.get(seen?..).unwrap_or_default();
                }
            }
        }
        Ok(())
    }

    /// Takes one line of a head, or its beginning; how many bytes that were.
    fn head(&mut self, bytes: &[u8]) -> Result<usize, Refused> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end.saturating_add(1));
        self.head_bytes = self.head_bytes.saturating_add(taken);
        if self.head_bytes > HEAD_BYTES_MAX {
            // The HTTP library has the same limit, and an answer for it.
            self.state = State::Rest;
            return Ok(taken);
        }
        let part = bytes.get(..taken).unwrap_or_default();
        if end.is_none() {
            self.line.extend_from_slice(part);
        } else if self.line.is_empty() {
            self.line(part)?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(part);
            self.line(&line)?;
        }
        Ok(taken)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Refused> {
        // A line feed alone ends a line for some, and not for others.
        let line = line.strip_suffix(b"\r\n").ok_or(Refused)?;
        match (self.state, line) {
            (State::Start, []) => Ok(()),
            (State::Start, HTTP_2) => {
                self.state = State::Rest;
                Ok(())
            }
            (State::Start, line) => {
                (self.state, self.length, self.chunked) = (State::Fields, None, false);
                (self.hosts, self.needs_host) = (0, line.ends_with(b" HTTP/1.1"));
                if line.contains(&b'#') { Err(Refused) } else { Ok(()) }
            }
            (_, []) => {
                if self.needs_host && self.hosts == 0 {
                    return Err(Refused);
                }
                self.heads = self.heads.saturating_add(1);
                self.head_bytes = 0;
                self.state = match (self.chunked, self.length) {
                    // Its answer closes the connection.
                    (true, _) => State::Rest,
                    (false, Some(length)) if length > 0 => State::Body(length),
                    (false, _) => State::Start,
                };
                Ok(())
            }
            (_, field) => self.field(field),
        }
    }

    fn field(&mut self, field: &[u8]) -> Result<(), Refused> {
        let colon = field.iter().position(|byte| *byte == b':').ok_or(Refused)?;
        let (name, value) = field.split_at_checked(colon).ok_or(Refused)?;
        // A folded line continues the one before, for some.
        if name.iter().any(u8::is_ascii_whitespace) {
            return Err(Refused);
        }
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts = self.hosts.saturating_add(1);
            return if self.hosts == 1 { Ok(()) } else { Err(Refused) };
        }
        let is_length = name.eq_ignore_ascii_case(b"content-length");
        if !is_length && !name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Ok(());
        }
        if self.length.is_some() || self.chunked {
            return Err(Refused);
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if is_length {
            self.length = Some(digits(value).ok_or(Refused)?);
        } else if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
        } else {
            return Err(Refused);
        }
        Ok(())
    }
}

/// A number of nothing but digits: no sign, no space, no list.
fn digits(value: &[u8]) -> Option<u64> {
    let is_number = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nh\n\nlo";

    #[track_caller]
    fn check(bytes: &str, expect: Result<(), Refused>) {
        assert_eq!(Framing::new().see(bytes.as_bytes()), expect, "{bytes:?}");
    }

    #[test]
    fn contradictions_and_odd_lines_are_refused() {
        let head = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\ncontent-length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding : chunked\r\n",
            "X: a\r\n folded\r\n",
            "X: a\n",
            "nonsense\r\n",
            "host: a\r\n",
        ] {
            check(&head(fields), Err(Refused));
        }
        check("POST / HTTP/1.1\r\nHosts: a\r\n\r\n", Err(Refused));
        check("POST / HTTP/1.0\r\n\r\n", Ok(()));
        check("POST / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", Err(Refused));
        check("POST /#x HTTP/1.1\r\nHost: a\r\n\r\n", Err(Refused));
        check(&head(""), Ok(()));
        check(&head("TRANSFER-ENCODING:  Chunked \r\n"), Ok(()));
        check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\n", Ok(()));
        // A body is not looked at, the request after it is.
        check(&format!("{GOOD}{GOOD}"), Ok(()));
        check(&format!("{GOOD}{}", head("Content-Length: 1\nX: y\r\n")), Err(Refused));
        check(&format!("{}\n\n", head("Transfer-Encoding: chunked\r\n")), Ok(()));
    }

    proptest! {
        #[test]
        fn bytes_are_framed_alike_however_they_are_cut(
            cuts in prop::collection::vec(0..GOOD.len() * 2, 0..8),
            is_bad in any::<bool>(),
        ) {
            let second = if is_bad { GOOD.replace("5\r\n", "5\r\nContent-Length: 5\r\n") } else { GOOD.to_owned() };
            let bytes = format!("{GOOD}{second}").into_bytes();
            let mut cuts = cuts;
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut framing = Framing::new();
            let seen: Result<(), Refused> = cuts
                .windows(2)
                .try_for_each(|cut| framing.see(&bytes[cut[0]..cut[1]]));
            prop_assert_eq!(seen.is_err(), is_bad);
            prop_assert_eq!(framing.heads(), if is_bad { 1 } else { 2 });
            prop_assert!(!framing.is_in_head());
        }
    }

    #[test]
    fn a_head_has_begun_with_its_first_byte_and_ended_with_its_last() {
        let mut framing = Framing::new();
        let mut places = Vec::new();
        for byte in GOOD.as_bytes() {
            framing.see(&[*byte]).unwrap();
            places.push(framing.is_in_head());
        }
        let head = GOOD.find("\r\n\r\n").unwrap() + 3;
        let expect: Vec<_> = (0..GOOD.len()).map(|at| at < head).collect();
        assert_eq!(places, expect);
    }
}
