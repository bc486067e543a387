//! Closes of accounting days: one entity a shard, whose records say from which record on which days are closed (rule 25).

use std::sync::Arc;

use bytes::Bytes;
use tessera_cluster::{Behaviour, Clock, Decision, Needs};
use tessera_domain::finance::Closes;
use tessera_domain::time::{Day, Millis};
use tessera_domain::{Code, Rejection, Text};
use tessera_storage::{EntityKey, Offset, Page, Seq, Snapshot};

/// Days up to one are closed to records of a shard from an offset on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Close {
    pub offset: Offset,
    pub through: Day,
    pub author: Text,
    /// What the shard closed at then, by wallet: pending and active.
    pub closing: Vec<(u8, i64, i64)>,
}

/// A close as recorded.
pub type CloseRecord = tessera_codec::Closed;

/// Closes of one shard.
#[derive(Clone, Default, Debug)]
pub struct ShardCloses {
    seq: Seq,
    pub made: Vec<(Millis, Close)>,
}

impl ShardCloses {
    /// As the fold needs them.
    #[must_use]
    pub fn closes(&self) -> Closes {
        Closes(self.made.iter().map(|(_, close)| (close.offset, close.through)).collect())
    }
}

/// The behaviour.
pub struct CloseBehaviour {
    pub(crate) clock: Clock,
}

impl Behaviour for CloseBehaviour {
    type State = ShardCloses;
    type Command = Close;
    type Record = CloseRecord;
    type Rejection = Rejection;
    type View = ();
    type Query = ();
    type Answer = ShardCloses;

    fn empty(&self, _entity: &EntityKey) -> ShardCloses {
        ShardCloses::default()
    }

    fn needs(&self, state: &ShardCloses, close: &Close) -> Needs {
        state.made.iter().rposition(|(_, made)| made.through >= close.through).map(|place| place as Seq + 1).into_iter().collect()
    }

    fn decide(&self, state: &ShardCloses, close: &Close, records: &[(Seq, Arc<CloseRecord>)]) -> Decision<CloseRecord, Rejection> {
        // Closed before, by this request or another: what was closed stays as it was.
        if let Some((seq, record)) = records.first() {
            return Decision::Repeat(*seq, record.clone());
        }
        if state.made.last().is_some_and(|(_, last)| last.offset > close.offset) {
            return Decision::Refuse(Rejection::new(Code::Stale, "", "a later close was made meanwhile"));
        }
        let Close { offset, through, author, closing } = close.clone();
        Decision::Commit(Arc::new(CloseRecord { at: self.clock.now(), offset, through, author, closing }))
    }

    fn apply(&self, state: &mut ShardCloses, record: &CloseRecord) {
        state.seq += 1;
        let CloseRecord { at, offset, through, author, closing } = record.clone();
        state.made.push((at, Close { offset, through, author, closing }));
    }

    fn view(&self, _state: &ShardCloses) {}

    fn answer(&self, state: &ShardCloses, _query: ()) -> ShardCloses {
        state.clone()
    }

    fn seq(&self, state: &ShardCloses) -> Seq {
        state.seq
    }

    fn encode(&self, entity: &EntityKey, seq: Seq, record: &CloseRecord) -> Result<Bytes, Rejection> {
        tessera_codec::encode_close(&entity.0, seq, record).map_err(|_| Rejection::new(Code::Invalid, "", "this close is longer than a record may be"))
    }

    fn decode(&self, entity: &EntityKey, seq: Seq, frame: &[u8]) -> Result<CloseRecord, String> {
        tessera_codec::decode_close(&entity.0, seq, frame).map_err(|e| e.to_string())
    }

    // Some hundred small records a year: the journal is its own snapshot.
    fn snapshot(&self, _entity: &EntityKey, _state: &mut ShardCloses) -> Vec<Page> {
        Vec::new()
    }

    fn restore(&self, _entity: &EntityKey, _snapshot: &Snapshot) -> Option<ShardCloses> {
        None
    }
}
