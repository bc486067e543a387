//! The member as a behaviour: the domain decides, the codec writes.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tessera_cluster::{Behaviour, Clock, Decision, Needs};
use tessera_domain::command::{Ask, Command};
use tessera_domain::decide::{self, Context};
use tessera_domain::goals::Progress;
use tessera_domain::ids::MemberId;
use tessera_domain::keys::KeyIndex;
use tessera_domain::member::{Member, View};
use tessera_domain::merge::{Going, Merges, SPAN};
use tessera_domain::pool::Pooled;
use tessera_domain::record::{HoldEnd, Record};
use tessera_domain::wallet::Wallet;
use tessera_domain::{Code, Rejection};
use tessera_storage::{Due, EntityKey, NO_DUE, Page, Seq, Snapshot};

use crate::Board;
use crate::budgets::{Look, Purse};

/// First page number of the sealed pages of request headers; those of keys start at 1.
const HEADER_PAGES: u32 = 1 << 24;

/// Records that were read, by their numbers.
pub type Read = Vec<(u64, Arc<Record>)>;

/// A command, with the records of other journals that it needs: those of members that have gone into this one.
pub struct Asked {
    /// Shared: it may have to be sent again.
    pub command: Arc<Command>,
    pub brought: Option<Box<Read>>,
}

/// What members share on a node.
pub struct MemberBehaviour {
    pub(crate) board: Arc<Board>,
    pub(crate) clock: Clock,
    /// What is left of campaigns.
    pub(crate) purse: Arc<Purse>,
    /// Test-only: forget what was answered, so that the checks can be seen to fail.
    pub(crate) skip_dedupe: bool,
}

/// A question. One that has gone into another member answers [`Answer::Gone`], unless it is about itself.
pub enum Query {
    /// What a command would do; nothing is written (rule 10). With the records it needs, as far as they have been read.
    Quote(Arc<Command>, Read),
    /// Which record answered this command before, if any did.
    Repeat(Arc<Command>, Read),
    /// The view as of now.
    View,
    /// How a gift stands; or which are on their way, when none is named.
    Gift(Option<u64>),
    /// What it knows of pools.
    Pool,
    /// What it knows of merges; about itself.
    Merges,
    /// Its state, while it goes into another member; about itself.
    Leaving,
    /// Number of its last record; about itself.
    Head,
    /// Numbers of records that a command needs and that stand in other journals; about itself.
    Elsewhere(Arc<Command>),
    /// When it wants to be woken; about itself.
    Due,
    /// Whether the member holds an alias now.
    Holds { hash: u128 },
    /// How far it has come with quests and achievements.
    Goals,
    /// Lots and holds as of now, and how a hold ended that is not among them.
    Wallets { hold: Option<u64> },
}

/// Its answer.
pub enum Answer {
    /// It has gone into this member, where its journal has this place.
    Gone(MemberId, u8),
    /// It goes into another member, or another one into it: ask again once that is settled.
    Busy,
    /// `None`: there is no such member.
    Merges(Option<Box<Merges>>),
    /// 0: there is no such member.
    Head(u64),
    /// `None`: it is not going anywhere.
    Leaving(Option<(Going, Box<Member>)>),
    /// Read these first and ask again.
    Needs(Vec<u64>),
    /// The number of that record.
    Repeat(Option<u64>),
    /// Gifts on their way; of the one that was asked for, whether it was taken in the end.
    Gifts(Vec<u64>, bool),
    /// `None`: there is no such member.
    Pool(Option<Box<Pooled>>),
    /// When; never, for one that is not there.
    Due(Due),
    /// Whether it does; a member that is not there holds nothing.
    Holds(bool),
    /// The record that would be appended, or that answered it before, or the rejection.
    Quote(Result<Arc<Record>, Rejection>),
    /// As of now; `None`: there is no such member.
    View(Option<View>),
    /// `None`: there is no such member.
    Goals(Option<Vec<Progress>>),
    /// As of now; `None`: there is no such member.
    Wallets(Option<Vec<Wallet>>, Option<HoldEnd>),
}

impl Query {
    fn is_about_itself(&self) -> bool {
        match self {
            Self::Merges | Self::Leaving | Self::Head | Self::Due | Self::Elsewhere(_) => true,
            // What made it, and what ended it, is answered here for ever.
            Self::Repeat(command, _) => matches!(command.ask, Ask::Enrol { .. } | Ask::Merge { .. }),
            _ => false,
        }
    }
}

impl MemberBehaviour {
    /// The view of a state, with everything due by now folded in.
    fn view_now(&self, state: &Member) -> Option<View> {
        let programmes = self.board.programmes();
        let programme = programmes.current()?;
        let now = state.now(self.clock.now());
        let mut view = View::of(state, programme, now);
        if state.exists() && now >= view.good_until {
            let due = decide::due(state, &Context::new(now, &programmes))?;
            (view.figures, view.tier) = due;
        }
        Some(view)
    }
}

impl Behaviour for MemberBehaviour {
    type State = Member;
    type Command = Asked;
    type Record = Record;
    type Rejection = Rejection;
    type View = Option<View>;
    type Query = Query;
    type Answer = Answer;

    fn empty(&self, _entity: &EntityKey) -> Member {
        Member::default()
    }

    fn needs(&self, state: &Member, asked: &Asked) -> Needs {
        if self.skip_dedupe { Needs::new() } else { decide::needs(state, &asked.command).into_iter().filter(|seq| *seq < u64::from(SPAN)).collect() }
    }

    fn decide(&self, state: &Member, asked: &Asked, records: &[(Seq, Arc<Record>)]) -> Decision<Record, Rejection> {
        let programmes = self.board.programmes();
        let context = Context { budgets: &*self.purse, ..Context::new(self.clock.now(), &programmes) };
        let Asked { command, brought } = asked;
        let mut all = Cow::Borrowed(records);
        if state.merges.as_ref().is_some_and(|merges| merges.gone().is_none()) && !self.skip_dedupe {
            all.to_mut().extend(brought.iter().flat_map(|brought| brought.iter().cloned()));
            if missing(state, command, &all).is_some() {
                return Decision::Refuse(Rejection::new(Code::RecordsElsewhere, "", "records of a member that has gone into this one are needed"));
            }
        }
        match decide::decide(state, command, &context, &all) {
            decide::Decision::Commit(record) => Decision::Commit(record),
            decide::Decision::Repeat(index) => Decision::Repeat(all[index].0, all[index].1.clone()),
            decide::Decision::Refuse(rejection) => Decision::Refuse(rejection),
        }
    }

    fn apply(&self, state: &mut Member, record: &Record) {
        state.apply(record);
    }

    fn due(&self, state: &Member, record: &Record) -> Due {
        self.board.programmes().current().map_or(NO_DUE, |programme| state.due_after(record, programme))
    }

    fn view(&self, state: &Member) -> Option<View> {
        let gone = state.merges.as_ref().is_some_and(|merges| merges.gone().is_some());
        (state.exists() && !gone).then(|| self.view_now(state)).flatten()
    }

    fn answer(&self, state: &Member, query: Query) -> Answer {
        if let Some((into, place)) = state.merges.as_ref().and_then(|merges| merges.gone())
            && !query.is_about_itself()
        {
            return Answer::Gone(into, place);
        }
        match query {
            Query::Merges => Answer::Merges(state.exists().then(|| state.merges.clone().unwrap_or_default())),
            Query::Leaving => Answer::Leaving(state.going().filter(|going| going.place.is_none()).map(|going| (*going, Box::new(state.clone())))),
            Query::Head => Answer::Head(state.seq),
            Query::Elsewhere(command) => Answer::Needs(decide::needs(state, &command).into_iter().filter(|seq| *seq >= u64::from(SPAN)).collect()),
            Query::View => Answer::View(self.view(state)),
            Query::Holds { hash } => Answer::Holds(state.holds_alias(hash)),
            Query::Due => Answer::Due(self.board.programmes().current().filter(|_| state.exists()).map_or(NO_DUE, |programme| state.next_due(programme))),
            Query::Gift(gift) => {
                let taken = gift.is_some_and(|gift| !state.ungiven.iter().any(|seq| u64::from(*seq) == gift));
                Answer::Gifts(state.giving.iter().map(|(seq, _)| u64::from(*seq)).collect(), taken)
            }
            Query::Pool => Answer::Pool(state.exists().then(|| state.pool.clone().unwrap_or_default())),
            Query::Goals => Answer::Goals(state.exists().then(|| state.goals.clone())),
            Query::Wallets { hold } => {
                let programmes = self.board.programmes();
                let context = Context::new(self.clock.now(), &programmes);
                let wallets = if state.exists() { decide::wallets(state, &context) } else { None };
                let ended = state.ended_holds.iter().find(|(seq, _)| Some(u64::from(*seq)) == hold).map(|(_, end)| *end);
                Answer::Wallets(wallets, ended)
            }
            Query::Repeat(command, records) => {
                if let Some(missing) = missing(state, &command, &records) {
                    return Answer::Needs(missing);
                }
                let programmes = self.board.programmes();
                let look = Look(&self.purse);
                let context = Context { budgets: &look, ..Context::new(self.clock.now(), &programmes) };
                match decide::decide(state, &command, &context, &records) {
                    decide::Decision::Repeat(index) => Answer::Repeat(records.get(index).map(|(seq, _)| *seq)),
                    decide::Decision::Refuse(no) if no.code == Code::MemberMerged => Answer::Busy,
                    decide::Decision::Commit(_) | decide::Decision::Refuse(_) => Answer::Repeat(None),
                }
            }
            Query::Quote(command, records) => {
                if let Some(missing) = missing(state, &command, &records) {
                    return Answer::Needs(missing);
                }
                let programmes = self.board.programmes();
                let look = Look(&self.purse);
                let context = Context { budgets: &look, ..Context::new(self.clock.now(), &programmes) };
                // What was done before is answered, as the command would be.
                Answer::Quote(match decide::decide(state, &command, &context, &records) {
                    decide::Decision::Commit(record) => Ok(record),
                    decide::Decision::Repeat(index) => Ok(records[index].1.clone()),
                    decide::Decision::Refuse(no) => Err(no),
                })
            }
        }
    }

    fn seq(&self, state: &Member) -> Seq {
        state.seq
    }

    fn encode(&self, entity: &EntityKey, seq: Seq, record: &Record) -> Result<Bytes, Rejection> {
        encode(entity, seq, record).inspect_err(|_| self.purse.undo(record, &self.board.programmes()))
    }

    fn decode(&self, entity: &EntityKey, seq: Seq, frame: &[u8]) -> Result<Record, String> {
        tessera_codec::decode_record(&entity.0, seq, frame).map_err(|e| e.to_string())
    }

    fn snapshot(&self, entity: &EntityKey, state: &mut Member) -> Vec<Page> {
        let mut pages = Vec::new();
        for (first, index) in [(1, &state.keys), (HEADER_PAGES, &state.headers)] {
            for (number, page) in (first + index.dropped..).zip(&index.sealed) {
                if let Ok(bytes) = tessera_codec::encode_page(&entity.0, number.into(), page) {
                    pages.push(Page { number, bytes });
                }
            }
        }
        if let Ok(bytes) = tessera_codec::encode_core(&entity.0, state) {
            pages.push(Page { number: 0, bytes });
        }
        pages
    }

    fn restore(&self, entity: &EntityKey, snapshot: &Snapshot) -> Option<Member> {
        let page = |number: u32| snapshot.pages.iter().find(|page| page.number == number);
        let (mut member, sealed) = tessera_codec::decode_core(&entity.0, snapshot.seq, &page(0)?.bytes).ok()?;
        let read = |first: u32, (count, dropped): (u32, u32), index: &mut KeyIndex| -> Option<()> {
            for number in (first + dropped..).take(count as usize) {
                let sealed = tessera_codec::decode_page(&entity.0, number.into(), &page(number)?.bytes).ok()?;
                index.sealed.push(Arc::new(sealed));
            }
            Some(())
        };
        read(1, sealed.keys, &mut member.keys)?;
        read(HEADER_PAGES, sealed.headers, &mut member.headers)?;
        Some(member)
    }
}

/// A record's frame.
pub(crate) fn encode(entity: &EntityKey, seq: Seq, record: &Record) -> Result<Bytes, Rejection> {
    tessera_codec::encode_record(&entity.0, seq, record)
        .map_err(|_| Rejection::new(Code::TooManyLines, "/lines", "the basket's record would be larger than 64 KiB; send it in two parts"))
}

/// Records that a command needs and that have not been read.
fn missing(state: &Member, command: &Command, records: &[(u64, Arc<Record>)]) -> Option<Vec<u64>> {
    let missing: Vec<u64> = decide::needs(state, command).into_iter().filter(|seq| records.iter().all(|(read, _)| read != seq)).collect();
    (!missing.is_empty()).then_some(missing)
}

#[cfg(test)]
mod tests {
    use super::MemberBehaviour;

    #[test]
    fn an_awake_members_handler_is_small() {
        let (handler, state) = (tessera_cluster::handler_size::<MemberBehaviour>(), size_of::<tessera_domain::member::Member>());
        eprintln!("handler {handler} bytes, state {state} bytes before what it points to");
        assert!(handler <= 640, "what is held across an await stays for the member's life: {handler} bytes");
    }
}
