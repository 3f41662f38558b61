//! One question to one broker, on a connection of its own.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
};

use super::{super::REQUEST_TIMEOUT, wire::Malformed};

/// Bytes of an answer: two hundred partitions with three thousand producers each.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

/// Where a broker says it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("{0}")]
    Connection(#[from] std::io::Error),
    #[error("its name has no address")]
    NoAddress,
    #[error("its answer has {0} bytes, more than {ANSWER_MAX}: is that a Kafka broker?")]
    TooLong(u32),
    #[error("its answer cannot be read: {0}; is it Kafka 2.8 or newer?")]
    Malformed(#[from] Malformed),
}

/// Sends a request and reads its answer. A broker closes a connection on what it does not know.
pub(super) fn ask<T>(
    address: &Address,
    request: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, Malformed>,
) -> Result<T, AskError> {
    let mut connection = connect(address)?;
    connection.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    connection.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
    connection.write_all(&[&length.to_be_bytes(), request].concat())?;
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let said = u32::from_be_bytes(length);
    let length = usize::try_from(said).ok().filter(|length| *length <= ANSWER_MAX);
    let mut answer = vec![0; length.ok_or(AskError::TooLong(said))?];
    connection.read_exact(&mut answer)?;
    Ok(read(&answer)?)
}

fn connect(address: &Address) -> Result<TcpStream, AskError> {
    let mut last = AskError::NoAddress;
    for found in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&found, REQUEST_TIMEOUT) {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// What a code of the protocol means, and what to do.
pub(super) fn refused(code: i16) -> String {
    let meaning = match code {
        3 | 5 | 6 => "the leader is moving; ask again",
        7 => "it took too long; ask again",
        29 => "no right to read the topic",
        31 => "no right to alter the cluster",
        47 => "its producer lives on under a newer epoch, and the transaction has ended",
        52 => "a newer coordinator looks after it",
        _ => "see the list of error codes in Kafka's protocol guide",
    };
    format!("{meaning} (error {code})")
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::{Address, ask};

    /// What is said of a broker that answers with these bytes.
    fn said_of(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            connection.read_exact(&mut [0; 7]).unwrap();
            connection.write_all(answer).unwrap();
        });
        let address = Address { host: "127.0.0.1".to_owned(), port };
        let said = match ask(&address, b"abc", |answer| Ok(answer.to_vec())) {
            Ok(answer) => String::from_utf8(answer).unwrap(),
            Err(error) => error.to_string(),
        };
        broker.join().unwrap();
        said
    }

    #[test]
    fn an_answer_is_as_long_as_it_says_and_no_longer_than_allowed() {
        assert_eq!(said_of(b"\x00\x00\x00\x02okay"), "ok");
        assert_eq!(
            said_of(b"HTTP/1.1"),
            "its answer has 1213486160 bytes, more than 33554432: is that a Kafka broker?"
        );
        assert!(said_of(b"\x00\x00\x00\x09ok").contains("fill whole buffer"));
    }
}
