//! The programme as an entity: its versions, each kept whole, and the façade that saves and reads them.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use sha2::{Digest, Sha256};
use tessera_cluster::{Behaviour, Clock, Decision, Failure, Limits, Needs, Ownership, Region, Reply};
use tessera_domain::versions::{self, Ask, Body, History, Origin, Save, Version, VersionRecord};
use tessera_domain::{Code, Rejection, Text};
use tessera_storage::{EntityKey, Page, Seq, Snapshot};

use crate::members::Miss;
use crate::names::programme_key;

/// Bytes of a text that one record keeps, packed.
const PART: usize = 48 << 10;
/// Bytes of a text, at most.
pub const LONGEST: usize = 4 << 20;

/// The history as a behaviour.
pub struct HistoryBehaviour {
    clock: Clock,
}

impl Behaviour for HistoryBehaviour {
    type State = History;
    type Command = Ask;
    type Record = VersionRecord;
    type Rejection = Rejection;
    type View = ();
    type Query = ();
    type Answer = History;

    fn empty(&self, _entity: &EntityKey) -> History {
        History::default()
    }

    fn needs(&self, state: &History, command: &Ask) -> Needs {
        // What a repeat is answered with.
        match command {
            Ask::Save(save) => state.made(save).map(|version| version.seq).into_iter().collect(),
            Ask::Keep { .. } => Needs::new(),
        }
    }

    fn decide(&self, state: &History, command: &Ask, records: &[(Seq, Arc<VersionRecord>)]) -> Decision<VersionRecord, Rejection> {
        match state.decide(command, self.clock.now()) {
            versions::Decision::Commit(record) => Decision::Commit(Arc::new(record)),
            versions::Decision::Repeat => match records.first() {
                Some((seq, record)) => Decision::Repeat(*seq, record.clone()),
                None => Decision::Refuse(Rejection::new(Code::UnknownVersion, "", "the record of this version was not read")),
            },
            versions::Decision::Refuse(no) => Decision::Refuse(no),
        }
    }

    fn apply(&self, state: &mut History, record: &VersionRecord) {
        state.apply(record);
    }

    fn view(&self, _state: &History) {}

    fn answer(&self, state: &History, _query: ()) -> History {
        state.clone()
    }

    fn seq(&self, state: &History) -> Seq {
        state.seq
    }

    fn encode(&self, entity: &EntityKey, seq: Seq, record: &VersionRecord) -> Result<Bytes, Rejection> {
        let long = |_| Rejection::new(Code::Invalid, "", "a part of a programme is longer than a record may be");
        tessera_codec::encode_version(&entity.0, seq, record).map_err(long)
    }

    fn decode(&self, entity: &EntityKey, seq: Seq, frame: &[u8]) -> Result<VersionRecord, String> {
        tessera_codec::decode_version(&entity.0, seq, frame).map_err(|e| e.to_string())
    }

    // Its journal is short, and read at a start only: it is its own snapshot.
    fn snapshot(&self, _entity: &EntityKey, _state: &mut History) -> Vec<Page> {
        Vec::new()
    }

    fn restore(&self, _entity: &EntityKey, _snapshot: &Snapshot) -> Option<History> {
        None
    }
}

/// A text to become a version.
#[derive(Clone, Debug)]
pub struct Saving {
    pub text: Arc<str>,
    /// The version that it follows; 0 = none.
    pub after: u32,
    pub author: Text,
    pub note: Text,
    pub origin: Origin,
}

/// Every version of the node's programme. Cheap to clone.
#[derive(Clone)]
pub struct Histories {
    region: Region<HistoryBehaviour>,
}

impl Histories {
    /// Starts the region of programmes.
    ///
    /// # Errors
    /// A sentence when an actor cannot be started.
    pub async fn start(clock: Clock, ownership: Ownership, limits: Limits) -> Result<Self, String> {
        let region = Region::start(Arc::new(HistoryBehaviour { clock }), ownership, limits).await?;
        Ok(Self { region })
    }

    /// The history as it stands.
    ///
    /// # Errors
    /// A failure.
    pub async fn history(&self, deadline: Instant) -> Result<History, Failure> {
        self.region.query(programme_key(), (), deadline).await
    }

    /// A version's text.
    ///
    /// # Errors
    /// `Stopped` when it is damaged, or another failure.
    pub async fn text(&self, version: &Version) -> Result<String, Failure> {
        let damaged = || Failure::Stopped(format!("the text of version {} of the programme is damaged", version.number));
        let mut packed = Vec::new();
        for seq in &version.parts {
            let found = self.region.history(programme_key(), *seq, *seq).await?;
            match found.first().map(|(_, record)| &record.body) {
                Some(Body::Kept { part }) => packed.extend_from_slice(part),
                Some(Body::Saved(_)) | None => return Err(damaged()),
            }
        }
        let expected = version.digest;
        let unpacked = aside(move || {
            let mut text = String::new();
            let read = DeflateDecoder::new(&packed[..]).take(LONGEST as u64).read_to_string(&mut text);
            read.is_ok().then_some(text).filter(|text| digest(text) == expected)
        });
        unpacked.await?.ok_or_else(damaged)
    }

    /// Makes a text the next version; answers it, and whether an earlier request did.
    ///
    /// # Errors
    /// `stale` when another version was saved meanwhile, or a failure.
    pub async fn save(&self, saving: Saving, deadline: Instant) -> Result<(Version, bool), Miss> {
        if saving.text.len() > LONGEST {
            return Err(Miss::No(Rejection::new(Code::ProgrammeTooLong, "/programme", &format!("a programme has at most {LONGEST} bytes"))));
        }
        let history = self.history(deadline).await.map_err(Miss::Failure)?;
        let text = saving.text.clone();
        let (digest, packed) = aside(move || (digest(&text), pack(&text))).await.map_err(Miss::Failure)?;
        let mut save = Save { after: saving.after, author: saving.author, note: saving.note, origin: saving.origin, digest, parts: Vec::new() };
        // What stands already, or cannot follow, keeps no parts.
        let settled = history.made(&save).is_some() || save.after != history.current().map_or(0, |version| version.number);
        for part in packed.chunks(PART).filter(|_| !settled) {
            let (seq, ..) = self.ask(Ask::Keep { part: part.into() }, deadline).await?;
            save.parts.push(seq);
        }
        let (seq, record, repeat) = self.ask(Ask::Save(save), deadline).await?;
        let version = Version::of(&record, seq);
        version.map(|version| (version, repeat)).ok_or_else(|| Miss::Failure(Failure::Unknown("a record that saves no version answered a save; send the same again".into())))
    }

    /// Lets it finish and sleep.
    pub async fn drain(&self) {
        self.region.drain().await;
    }

    async fn ask(&self, ask: Ask, deadline: Instant) -> Result<(Seq, Arc<VersionRecord>, bool), Miss> {
        match self.region.ask(programme_key(), ask, deadline).await {
            Reply::Done { seq, record, repeat } => Ok((seq, record, repeat)),
            Reply::Refused(no) => Err(Miss::No(no)),
            Reply::Failed(failure) => Err(Miss::Failure(failure)),
        }
    }
}

/// Work of some milliseconds, away from the threads that serve tills.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Failure::Unavailable(e.to_string()))
}

fn pack(text: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let written = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// The first 128 bits of SHA-256.
#[must_use]
pub fn digest(text: &str) -> u128 {
    Sha256::digest(text.as_bytes()).iter().take(16).fold(0, |value, byte| (value << 8) | u128::from(*byte))
}
