//! The beginning of every file: what it is, of what version, and whose.

use std::io;

use super::{
    Identity, coding,
    frame::{self, Frames, Kind, Next},
};

/// The first bytes of every file.
const MAGIC: &[u8; 8] = b"STRMSTAT";
/// Version of the format. A file of another one is not read: the changelog has it all.
pub(super) const VERSION: u32 = 1;
/// Bytes before the first frame: [`MAGIC`] and [`VERSION`].
const PREAMBLE: usize = 12;

/// What a file says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Title {
    pub(super) identity: Identity,
    pub(super) generation: u64,
    /// Sequence of the first frame of this generation's log.
    pub(super) first_sequence: u64,
    /// Bytes that the log before this one has, so that a tail lost there is seen here.
    pub(super) log_before: u64,
}

/// Why a title is not the one expected.
#[derive(Debug)]
pub(super) enum NoTitle {
    /// The file ends in it.
    Torn,
    Corrupt(&'static str),
    Foreign(String),
    Io(io::Error),
}

impl Title {
    /// The file's first bytes.
    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        let start = frame::begin(&mut out);
        coding::put_varint(&mut out, self.generation);
        coding::put_varint(&mut out, self.first_sequence);
        coding::put_varint(&mut out, self.log_before);
        let Identity { cluster_id, application, task, stores } = &self.identity;
        for name in [cluster_id, application, task].into_iter().chain(stores) {
            coding::put_bytes(&mut out, name.as_bytes());
        }
        frame::seal(&mut out, start, Kind::Title, 0)?;
        Ok(out)
    }

    /// Reads the title and compares whose it is.
    pub(super) fn read(frames: &mut Frames, identity: &Identity) -> Result<Self, NoTitle> {
        let Some(preamble) = frames.raw(PREAMBLE)? else { return Err(NoTitle::Torn) };
        let (magic, version) = preamble.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(NoTitle::Corrupt("it does not begin as a state file does"));
        }
        if version != VERSION.to_le_bytes() {
            return Err(NoTitle::Foreign(format!("its format is not version {VERSION}")));
        }
        let frame = match frames.next()? {
            Next::Frame(frame) if frame.kind == Kind::Title => frame,
            Next::Torn | Next::End => return Err(NoTitle::Torn),
            Next::Frame(_) | Next::Bad(_) => return Err(NoTitle::Corrupt("its title is damaged")),
        };
        let title = decode(frame.payload).ok_or(NoTitle::Corrupt("its title is damaged"))?;
        if title.identity == *identity {
            Ok(title)
        } else {
            Err(NoTitle::Foreign(format!("it belongs to {}, not to {identity}", title.identity)))
        }
    }
}

impl From<io::Error> for NoTitle {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn decode(payload: &[u8]) -> Option<Title> {
    let mut from = coding::Cursor(payload);
    let (generation, first_sequence) = (from.varint()?, from.varint()?);
    let log_before = from.varint()?;
    let mut name = || String::from_utf8(from.bytes()?.to_vec()).ok();
    let (cluster_id, application, task) = (name()?, name()?, name()?);
    let mut stores = Vec::new();
    while !from.is_empty() {
        stores.push(String::from_utf8(from.bytes()?.to_vec()).ok()?);
    }
    let identity = Identity { cluster_id, application, task, stores };
    Some(Title { identity, generation, first_sequence, log_before })
}
